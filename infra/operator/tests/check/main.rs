//! `operator check`: what it finds in a functions file, and where.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod aws;
mod positions;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Two functions that are valid.
const VALID: &str = r#"{
  "format": 1,
  "functions": [
    {
      "name": "image.resize",
      "version": "1.2.0",
      "description": "Ändert die Größe eines Bildes.",
      "arguments_schema": { "type": "object" },
      "timeout_seconds": 300,
      "target": { "lambda": { "function": "image-resize:live" } }
    },
    {
      "name": "report.render",
      "version": "1.0.0",
      "description": "Renders a report.",
      "arguments_schema": { "type": "object" },
      "target": {
        "lambda": { "function": "arn:aws:lambda:eu-central-1:111122223333:function:render:7" }
      }
    }
  ]
}
"#;
const RENDER: &str = "arn:aws:lambda:eu-central-1:111122223333:function:render:7";
const RESIZE: &str = "arn:aws:lambda:us-east-1:123456789012:function:image-resize:live";
const HOME: [&str; 4] = ["--region", "us-east-1", "--account", "123456789012"];

/// A directory for the file of one test.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("check-{test}"));
        std::fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    /// The tool's run on a file of this text, without any setting.
    fn check(&self, text: impl AsRef<[u8]>, options: &[&str]) -> Run {
        std::fs::write(self.0.join("functions.json"), text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_operator"));
        command.args(["check", "functions.json"]).args(options);
        Run::of(command.current_dir(&self.0).env_clear().output().unwrap())
    }
}

/// How the tool ended.
struct Run {
    code: Option<i32>,
    output: String,
    errors: String,
}

impl Run {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            output: String::from_utf8(output.stdout).unwrap(),
            errors: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    fn assert(&self, code: i32, output: &str, errors: &str) {
        assert_eq!((&*self.output, &*self.errors), (output, errors));
        assert_eq!(self.code, Some(code));
    }
}

#[test]
fn every_error_is_listed_with_its_line_and_column() {
    let text = r#"{
  "format": 1,
  "functions": [
    {
      "name": "image.resize",
      "version": "1.2.0",
      "description": "Ändert 画像.", "colour": "red",
      "arguments_schema": {},
      "timeout_seconds": 900,
      "target": { "lambda": { "function": "image-resize:live", "function": "image-resize:test" } }
    },
    {
      "name": "report.render",
      "description": "Renders a report.",
      "arguments_schema": { "type": "object" },
      "target": { "lambda": { "function": "render" } }
    },
    {
      "name": "mail.send",
      "version": "1.0.0",
      "description": "Sends a mail.",
      "arguments_schema": {
        "type": "object",
        "properties": { "größe/maß": { "type": "string", "minLength": "1" }, "to": 7 }
      },
      "target": { "lambda": { "function": "mail" } }
    },
    {
      "name": "mail.send",
      "version": "1.0.0",
      "description": "Sends a mail.",
      "arguments_schema": { "type": "object" },
      "target": { "lambda": { "function": "mail:1" } }
    }
  ]
}
"#;
    let expected = "\
functions.json:7:46   /functions/0/colour                                            is not a known \
         member
functions.json:8:27   /functions/0/arguments_schema/type                             must be \
         \"object\"
functions.json:9:26   /functions/0/timeout_seconds                                   must be a whole \
         number from 1 to 870
functions.json:10:76  /functions/0/target/lambda/function                            is given more \
         than once
functions.json:12:5   /functions/1/version                                           is required
functions.json:24:71  /functions/2/arguments_schema/properties/größe~1maß/minLength  must be a whole \
         number
functions.json:24:84  /functions/2/arguments_schema/properties/to                    must be true or \
         false or an object
functions.json:26:43  /functions/2/target/lambda/function                            warning: has no \
         alias or version: $LATEST cannot be rolled back
functions.json:28:5   /functions/3                                                   repeats \
         mail.send 1.0.0, which is /functions/2
8 errors, 1 warning
";
    let run = Directory::new("errors").check(text, &[]);
    run.assert(1, expected, "");
}

#[test]
fn a_valid_file_is_counted() {
    let directory = Directory::new("valid");
    let run = directory.check(VALID, &[]);
    run.assert(0, "functions.json: 2 functions are valid\n", "");
    let run = directory.check(r#"{"format":1,"functions":[]}"#, &[]);
    run.assert(0, "functions.json: 0 functions are valid\n", "");
}

#[test]
fn the_file_that_is_deployed_is_valid() {
    let directory = Directory::new("deployed");
    let run = directory.check(include_str!("../../../layer/ferry/functions.json"), &[]);
    assert_eq!(run.code, Some(0), "{}", run.output);
}

#[test]
fn a_target_without_an_alias_or_version_is_a_warning() {
    let directory = Directory::new("warning");
    for function in ["image-resize", "image-resize:$LATEST"] {
        let run = directory.check(VALID.replace("image-resize:live", function), &[]);
        let expected = "\
functions.json:10:43  /functions/0/target/lambda/function  warning: has no alias or version: \
             $LATEST cannot be rolled back
functions.json: 2 functions are valid, 1 warning
";
        run.assert(0, expected, "");
    }
}

#[test]
fn a_member_of_a_schema_that_json_schema_does_not_define_is_a_warning() {
    let schema = r#"{
        "type": "object", "propertys": { "key": {} }, "x-order": 1, "$comment": "",
        "properties": {
          "minlength": { "type": "string", "minlength": 1, "default": { "colour": 1 } }
        },
        "anyOf": [true, { "then": { "requires": [] } }]
      }"#;
    let text = VALID.replacen(r#"{ "type": "object" }"#, schema, 1);
    let run = Directory::new("keywords").check(&text, &[]);
    let found: Vec<_> = run.output.lines().collect();
    for (found, (place, pointer)) in found.iter().zip([
        ("9:40", "propertys"),
        ("11:57", "properties/minlength/minlength"),
        ("13:49", "anyOf/1/then/requires"),
    ]) {
        let words: Vec<_> = found.split_whitespace().collect();
        assert_eq!(words[0], format!("functions.json:{place}"));
        assert_eq!(words[1], format!("/functions/0/arguments_schema/{pointer}"));
        let warning = "warning: is no keyword of JSON Schema, so it has no effect";
        assert_eq!(words[2..].join(" "), warning);
    }
    let last = "functions.json: 2 functions are valid, 3 warnings";
    assert_eq!(found[3..], [last]);
    assert_eq!(run.code, Some(0));
}

#[test]
fn a_text_that_is_not_json_has_one_error_where_it_stops_being_json() {
    let directory = Directory::new("syntax");
    for (text, expected) in [
        ("", "1:1  is not JSON: it ends too early"),
        ("{", "1:1  is not JSON: it ends too early"),
        ("format: 1\n", "1:2  is not JSON: a value is expected"),
        (
            "{\n  \"format\": 1,\n}\n",
            "3:1  is not JSON: a comma must not come last",
        ),
        ("{} {}", "1:4  is not JSON: nothing may follow the value"),
        (
            "\n{\"größe\": \"画像\" 1}",
            "2:16  is not JSON: a comma or } is expected",
        ),
        ("[1, 2, ]", "1:8  is not JSON: a comma must not come last"),
        ("[1 2]", "1:4  is not JSON: a comma or ] is expected"),
        ("[1 }", "1:4  is not JSON: a comma or ] is expected"),
        (
            "{format: 1}",
            "1:2  is not JSON: a name in double quotes is expected",
        ),
        (r#"{"format" 1}"#, "1:11  is not JSON: a colon is expected"),
        (r#"{"format": }"#, "1:12  is not JSON: a value is expected"),
        ("[01]", "1:3  is not JSON: this is not a number of JSON's"),
        (
            r#"["\x"]"#,
            "1:4  is not JSON: JSON does not have this escape",
        ),
        (
            "[\"a\nb\"]",
            "1:3  is not JSON: a string must not have a line break or another control character",
        ),
    ] {
        let run = directory.check(text, &[]);
        run.assert(1, &format!("functions.json:{expected}\n1 error\n"), "");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let directory = Directory::new("unreadable");
    let run = directory.check(b"\xff", &[]);
    let expected = "error: functions.json cannot be read: stream did not contain valid UTF-8\n";
    run.assert(1, "", expected);
}

/// A terminal would obey the control characters, and another line would look like an error.
#[test]
fn texts_of_the_file_are_escaped() {
    let directory = Directory::new("hostile");
    let run = directory.check(r#"{"format":1,"functions":[],"a\n\u001b[2J\u202e":1}"#, &[]);
    let expected = r"functions.json:1:49  /a\u000a\u001b[2J\u202e  is not a known member
1 error
";
    run.assert(1, expected, "");
}

#[test]
fn the_arns_of_all_targets_are_printed_once_and_in_order() {
    let directory = Directory::new("arns");
    let print = |text: &str, options: &[&str]| {
        let options = [&["--print-arns"], options].concat();
        directory.check(text, &options)
    };
    print(VALID, &HOME).assert(
        0,
        &format!("{RENDER},{RESIZE}\n"),
        "functions.json: 2 functions are valid\n",
    );
    let twice = VALID.replace("image-resize:live", RENDER);
    print(&twice, &[]).assert(
        0,
        &format!("{RENDER}\n"),
        "functions.json: 2 functions are valid\n",
    );
    for (region, partition) in [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")] {
        let run = print(VALID, &["--region", region, "--account", "123456789012"]);
        let arn =
            format!("arn:{partition}:lambda:{region}:123456789012:function:image-resize:live");
        assert!(run.output.contains(&arn), "{}", run.output);
    }
    print(VALID, &[]).assert(
        1,
        "",
        "functions.json: 2 functions are valid\n\
         error: image-resize:live is not an ARN: --region and --account complete it\n",
    );
}

#[test]
fn no_arns_are_printed_of_a_file_with_an_error() {
    let directory = Directory::new("no-arns");
    let unqualified = VALID.replace(":live", "");
    let options = [&["--print-arns"][..], &HOME].concat();
    let expected = "\
functions.json:10:43  /functions/0/target/lambda/function  must have an alias or version to be in \
         TargetFunctionArns: $LATEST cannot be rolled back
1 error
";
    directory
        .check(unqualified, &options)
        .assert(1, "", expected);
    let wrong = VALID.replace("300", "900");
    let expected = "\
functions.json:9:26  /functions/0/timeout_seconds  must be a whole number from 1 to 870
1 error
";
    directory.check(wrong, &options).assert(1, "", expected);
}

#[test]
fn the_workers_timeout_bounds_the_time_limits() {
    let directory = Directory::new("worker-timeout");
    let check =
        |timeout| directory.check(VALID.replace("300", "1770"), &["--worker-timeout", timeout]);
    check("1800").assert(0, "functions.json: 2 functions are valid\n", "");
    let expected = "\
functions.json:9:26  /functions/0/timeout_seconds  must be a whole number from 1 to 1769
1 error
";
    check("1799").assert(1, expected, "");
}

#[test]
fn a_list_of_arns_is_compared_with_the_targets() {
    let directory = Directory::new("compare");
    let compare = |text: &str, list: &str| {
        let options = [&["--arns", list][..], &HOME].concat();
        directory.check(text, &options)
    };
    compare(VALID, &format!("{RESIZE}, {RENDER}")).assert(
        0,
        "functions.json: 2 functions are valid\n",
        "",
    );
    let other = RENDER.replace(":7", ":6");
    let expected = format!(
        "\
functions.json:3:16   /functions                           warning: lacks a target that --arns \
         has: {other}
functions.json:18:33  /functions/1/target/lambda/function  is not in --arns, so the worker may \
         not invoke it: {RENDER}
1 error, 1 warning
"
    );
    compare(VALID, &format!("{other},{RESIZE}")).assert(1, &expected, "");
    let run = compare(VALID, "");
    assert!(run.output.ends_with("\n2 errors\n"), "{}", run.output);
    let run = compare(&VALID.replace(":live", ""), RENDER);
    assert!(
        run.output.contains("must have an alias or version"),
        "{}",
        run.output
    );
    assert_eq!(run.code, Some(1));
}
