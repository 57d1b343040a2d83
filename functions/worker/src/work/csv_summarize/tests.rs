use futures_util::FutureExt as _;
use shared::catalogue::csv_summarize::Delimiter;

use super::*;
use crate::context::test::TestContext;

fn summarize(csv: &str) -> Result<Output, WorkError> {
    summarize_by(None, csv)
}

fn summarize_by(delimiter: Option<Delimiter>, csv: &str) -> Result<Output, WorkError> {
    let args = Args {
        csv: csv.to_owned(),
        delimiter,
    };
    CsvSummarize::run(args, TestContext::new().context())
        .now_or_never()
        .unwrap()
}

/// The number of rows, and each column's name and number of fields that are not empty.
fn shape(csv: &str) -> (u64, Vec<(String, u64)>) {
    let output = summarize(csv).unwrap_or_else(|error| panic!("{csv:?}: {error:?}"));
    let columns = output.columns.into_iter();
    let columns = columns.map(|column| (column.name, column.count));
    (output.rows, columns.collect())
}

fn names_by(delimiter: Option<Delimiter>, csv: &str) -> Vec<String> {
    let output = summarize_by(delimiter, csv);
    let output = output.unwrap_or_else(|error| panic!("{csv:?}: {error:?}"));
    output
        .columns
        .into_iter()
        .map(|column| column.name)
        .collect()
}

fn assert_malformed(csv: &str, (line, column): (u64, usize)) {
    let error = match summarize(csv) {
        Ok(output) => panic!("{csv:?}: {output:?}"),
        Err(error) => error,
    };
    assert_eq!(error.error.code, "MALFORMED_CSV", "{csv:?}");
    assert!(!error.retryable, "{csv:?}");
    assert_eq!(
        error.error.details.unwrap().as_str(),
        format!(r#"{{"line":{line},"column":{column}}}"#),
        "{csv:?}"
    );
    let message = error.error.message;
    let prefix = format!("line {line}, column {column}: ");
    assert!(message.starts_with(&prefix), "{csv:?}: {message}");
}

#[test]
fn only_a_column_of_numbers_has_statistics() {
    let output =
        summarize("city,population,note\nRiga,600000,\nOslo,700000,\"a, b\"\nRiga,800000,\n")
            .unwrap();
    assert_eq!(output.rows, 3);
    let [city, population, note] = output.columns.try_into().unwrap();
    assert_eq!((city.count, city.distinct, city.numbers), (3, 2, None));
    let numbers = population.numbers.unwrap();
    assert_eq!(
        (numbers.min, numbers.max, numbers.mean),
        (600_000.0, 800_000.0, 700_000.0)
    );
    assert!((numbers.standard_deviation - 81_649.658).abs() < 0.001);
    assert_eq!((note.count, note.distinct, note.numbers), (1, 1, None));
}

#[test]
fn an_empty_table_has_no_columns_and_an_empty_column_no_numbers() {
    assert_eq!(
        summarize("").unwrap(),
        Output {
            rows: 0,
            columns: vec![]
        }
    );
    assert_eq!(summarize("a\n").unwrap().columns[0].numbers, None);
    assert_eq!(summarize("a\nNaN\n").unwrap().columns[0].numbers, None);
    for empty in ["\n\r\n\r", "\u{feff}", "sep=;", "\u{feff}sep=,\r\n"] {
        assert_eq!(shape(empty), (0, vec![]), "{empty:?}");
    }
}

#[test]
fn a_column_of_numbers_has_statistics_whatever_their_size() {
    for (fields, expected) in [
        ("1e200,-1e200", Some([-1e200, 1e200, 0.0, 1e200])),
        ("1e308,1e308", Some([1e308, 1e308, 1e308, 0.0])),
        ("-1e308,1e308", Some([-1e308, 1e308, 0.0, 1e308])),
        ("1,,4", Some([1.0, 4.0, 2.5, 1.5])),
        ("9007199254740993,1", None),
        ("1e400,1", None),
        ("1,007", None),
        ("1,-007", None),
        ("0,0.5,-0.5", Some([-0.5, 0.5, 0.0, (0.5_f64 / 3.0).sqrt()])),
        ("1,x", None),
        (",,", None),
    ] {
        // A second column keeps the empty fields from being empty lines.
        let rows = fields.replace(',', ";x\n");
        let output = summarize(&format!("n;x\n{rows};x\n")).unwrap();
        let numbers = output.columns[0].numbers.as_ref();
        let numbers = numbers.map(|n| [n.min, n.max, n.mean, n.standard_deviation]);
        assert_eq!(numbers, expected, "{fields}");
    }
}

#[test]
fn a_quote_that_is_never_closed_is_malformed_where_it_opens() {
    for (csv, expected) in [
        ("city,note\nRiga,ok\nOslo,\"cap\nBergen,x\n", (3, 2)),
        ("city,note\r\nRiga,ok\r\nOslo,\"cap\r\nBergen,x\r\n", (3, 2)),
        ("city,note\rRiga,ok\rOslo,\"cap\rBergen,x\r", (3, 2)),
        ("a,b\n1,\"", (2, 2)),
        ("a,b\n1,\"x", (2, 2)),
        ("a,b\n1,\"x\n", (2, 2)),
        ("a,b\n1,\"x\"\"", (2, 2)),
        ("a,b\n\"x", (2, 1)),
        // The number of fields is wrong because of the quote.
        ("a,b,c\n1,\"x,2\n3,4,5\n", (2, 2)),
        ("a,b\n\"x,2\n3,4\n", (2, 1)),
        // In the header.
        ("\"", (1, 1)),
        ("\"a,b\n1,2\n", (1, 1)),
        ("a,\"b\n1,2\n", (1, 2)),
        ("\u{feff}sep=;\n\na;\"b\n1;2\n", (3, 2)),
        // On a later line than its record.
        ("a,b\n\"x\n\ny\",\"z\n1,2\n", (4, 2)),
        ("a,b\r\n\"x\r\n\r\ny\",\"z\r\n1,2\r\n", (4, 2)),
        ("a\n1\n\n\"x\n", (4, 1)),
        // A later quote closes it, although it should open.
        ("a,b\n1,\"x\n2,\"y\"\n", (2, 2)),
        ("a,b\n1,\"x\n\"y\",2\n", (2, 2)),
        ("a,b\n\"x,1\n\"y,2\n\"z,3\n", (2, 1)),
        ("a,b\n1,\"x\n2,\"\"\n", (2, 2)),
        ("a\tb\n1\t\"x\n2\t\"y\"\n", (2, 2)),
        ("a,b\n1,\"x\n\" y,2\n", (2, 2)),
    ] {
        assert_malformed(csv, expected);
    }
    let message = |csv| summarize(csv).unwrap_err().error.message;
    assert_eq!(
        message("a,b\n1,\"x\n"),
        "line 2, column 2: the quote that opens here is never closed"
    );
    assert_eq!(
        message("a,b\n1,\"x\n2,\"y\"\n"),
        "line 2, column 2: the quote that opens here closes on line 3, where text follows it"
    );
}

#[test]
fn quotes_that_are_closed_are_read_leniently() {
    for (csv, rows, values) in [
        ("a,b\n\"1\",\"2\"\n", 1, ["1", "2"]),
        ("a,b\n1,\"\"\n", 1, ["1", ""]),
        ("a,b\n1,\"\"\"\"\n", 1, ["1", "\""]),
        ("a,b\n1,\"x\"\"y\"\n", 1, ["1", "x\"y"]),
        ("a,b\n1,\"x\"\"\n\"\"y\"\n", 1, ["1", "x\"\n\"y"]),
        ("a,b\n1,\"x,\r\ny\"\n", 1, ["1", "x,\r\ny"]),
        ("a,b\n1,\"x\n\"", 1, ["1", "x\n"]),
        ("a,b\n1,\"x\ny\"  \n", 1, ["1", "x\ny  "]),
        ("a,b\n\"x\ny\" ,1\n", 1, ["x\ny ", "1"]),
        ("a,b\n1,\"a\"b\n", 1, ["1", "ab"]),
        ("a,b\n1,\"a\" \"b\"\n", 1, ["1", "a \"b\""]),
        ("a,b\n1,5\"\n", 1, ["1", "5\""]),
        ("a,b\n5\",6\"\n", 1, ["5\"", "6\""]),
        ("a,b\n1, \"x\n", 1, ["1", " \"x"]),
    ] {
        let mut table = Table::new(csv, None).unwrap();
        let mut record = StringRecord::new();
        assert!(table.read(&mut record).unwrap());
        assert!(table.read(&mut record).unwrap(), "{csv:?}");
        assert_eq!(record.iter().collect::<Vec<_>>(), values, "{csv:?}");
        assert!(!table.read(&mut record).unwrap(), "{csv:?}");
        assert_eq!(shape(csv).0, rows, "{csv:?}");
    }
}

#[test]
fn lines_are_counted_as_an_editor_counts_them() {
    for (csv, expected) in [
        ("a,b\n1,2\n3\n", (3, 2)),
        ("a,b\r\n1,2\r\n3\r\n", (3, 2)),
        ("a,b\r1,2\r3\r", (3, 2)),
        ("a,b\n1,2\n3", (3, 2)),
        ("a,b\r\n1,2\r\n3", (3, 2)),
        ("a,b\n1,2\r\n3,4\r5\n", (4, 2)),
        ("a,b\n\r1,2\n\r3\n\r", (5, 2)),
        ("a,b\n1,2,3\n", (2, 3)),
        // Empty lines.
        ("a,b\n\n\n1\n", (4, 2)),
        ("a,b\r\n\r\n\r\n1\r\n", (4, 2)),
        ("a,b\r\r\r1\r", (4, 2)),
        ("\n\na,b\n1\n", (4, 2)),
        ("\r\n\r\na,b\r\n1\r\n", (4, 2)),
        ("a,b\n1\n\n\n", (2, 2)),
        // Before the table.
        ("\u{feff}a,b\n1,2\n3\n", (3, 2)),
        ("\u{feff}a,b\r\n1,2\r\n3\r\n", (3, 2)),
        ("sep=,\na,b\n1\n", (3, 2)),
        ("\u{feff}SEP=;\r\na;b\r\n1\r\n", (3, 2)),
        ("sep=;\r\r\na;b\n1\n", (4, 2)),
        // Within fields.
        ("a,b\n\"x\ny\",2\n3\n", (4, 2)),
        ("a,b\r\n\"x\r\ny\",2\r\n3\r\n", (4, 2)),
        ("a,b\n\"x\ry\r\nz\n\r\",2\n3\n", (7, 2)),
        ("\"a\n\",b\n1\n", (3, 2)),
        // A record's line is the one that it begins on.
        ("a,b\n\"x\n\ny\"\n", (2, 2)),
        // These characters do not end a line in an editor.
        ("a,b\n\u{2028}\u{b}\u{c}\u{85},2\n3\n", (3, 2)),
        // A line of blanks is a record of one field.
        ("a,b\n1,2\n \n3,4\n", (3, 2)),
        // In a table of one column an empty line is not malformed.
        ("a\n\n1,2\n", (3, 2)),
    ] {
        assert_malformed(csv, expected);
    }
    // A CRLF across the end of the reader's buffer.
    for padding in 8180..8200 {
        let csv = format!("a,b\r\n{},2\r\n3\r\n", "x".repeat(padding));
        assert_malformed(&csv, (3, 2));
    }
}

#[test]
fn an_empty_line_is_skipped_but_in_one_column_it_is_an_empty_field() {
    let two = |rows, count| (rows, vec![("a".to_owned(), count), ("b".to_owned(), count)]);
    for csv in [
        "a,b\n1,2\n\n3,4\n",
        "\n\na,b\n\n1,2\n\n\n3,4\n\n\n",
        "\r\na,b\r\n\r\n1,2\r\n\r\n3,4\r\n\r\n",
        "\ra,b\r\r1,2\r\r3,4\r\r",
    ] {
        assert_eq!(shape(csv), two(2, 2), "{csv:?}");
    }
    for (csv, rows, count) in [
        ("a\n1\n", 1, 1),
        ("a\n1", 1, 1),
        ("a\n", 0, 0),
        ("a", 0, 0),
        ("a\n\n", 1, 0),
        ("a\n\n\n", 2, 0),
        ("a\n1\n\n2\n", 3, 2),
        ("a\r\n1\r\n\r\n2\r\n", 3, 2),
        ("a\r1\r\r2\r", 3, 2),
        ("a\n1\n\r2", 3, 2),
        ("a\n\n1\n2\n", 3, 2),
        ("a\r\n\r\n1\r\n2\r\n", 3, 2),
        ("a\n1\n\n", 2, 1),
        ("a\r\n1\r\n\r\n", 2, 1),
        ("a\n1\n\n\n2", 4, 2),
        ("\n\na\n1\n", 1, 1),
        ("sep=;\na\n\n1\n", 2, 1),
        ("a\n\"\"\n\n1\n", 3, 1),
        ("a\n\"x\n\ny\"\n\n", 2, 1),
        ("\"a\"\r\n\r\n\"x\"\r\n", 2, 1),
    ] {
        assert_eq!(shape(csv), (rows, vec![("a".to_owned(), count)]), "{csv:?}");
    }
    // A column of numbers may have empty fields.
    let column = summarize("a\n1\n\n3\n").unwrap().columns.remove(0);
    assert_eq!(column.numbers.map(|numbers| numbers.mean), Some(2.0));
}

#[test]
fn a_byte_order_mark_is_not_part_of_a_name() {
    assert_eq!(names_by(None, "\u{feff}a,b\n1,2\n"), ["a", "b"]);
    assert_eq!(names_by(None, "\u{feff}\"a,b\",c\n1,2\n"), ["a,b", "c"]);
    assert_eq!(names_by(None, "a\u{feff},b\n1,2\n"), ["a\u{feff}", "b"]);
}

#[test]
fn names_may_be_empty_or_the_same() {
    assert_eq!(names_by(None, "a,,a, b\n1,2,3,4\n"), ["a", "", "a", " b"]);
    assert_eq!(names_by(None, ",\n1,2\n"), ["", ""]);
    assert_eq!(names_by(None, "\"\"\n1\n"), [""]);
}

#[test]
fn the_delimiter_is_found_in_the_header() {
    let none: Option<Delimiter> = None;
    for (csv, expected) in [
        ("a,b\n1,2\n", &["a", "b"][..]),
        ("a;b\n1;2\n", &["a", "b"]),
        ("a\tb\n1\t2\n", &["a", "b"]),
        ("a|b\n1|2\n", &["a", "b"]),
        ("a;b", &["a", "b"]),
        ("\r\n\r\na;b\r\n1;2\r\n", &["a", "b"]),
        ("\u{feff}a;b\r1;2\r", &["a", "b"]),
        (";\n1;2\n", &["", ""]),
        ("a\n1;2\n3|4\n", &["a"]),
        // The most fields win.
        ("a;b;c,d\n1;2;3\n", &["a", "b", "c,d"]),
        ("a|b|c;d\n1|2|3\n", &["a", "b", "c;d"]),
        ("a,b,c;d\n1,2,3\n", &["a", "b", "c;d"]),
        // Delimiters within quotes do not count, and quoted text may span lines.
        ("\"a,b,c\";d\n1;2\n", &["a,b,c", "d"]),
        ("\"a;b\";\"c,d\"\n1;2\n", &["a;b", "c,d"]),
        ("\"a,\n,b\";c\n1;2\n", &["a,\n,b", "c"]),
        ("\"a\"\"b,c,d\";e\n1;2\n", &["a\"b,c,d", "e"]),
        ("5\",6\"\n1,2\n", &["5\"", "6\""]),
        // Of several, the one that splits the next record into as many fields, or else the first.
        ("a;b,c\n1;2\n", &["a", "b,c"]),
        ("a;b|c\n\n1|2\n", &["a;b", "c"]),
        ("a;b,c\n1,2\n", &["a;b", "c"]),
        ("a;b,c\n1;2,3\n", &["a;b", "c"]),
        ("a;b,c\n", &["a;b", "c"]),
        ("a;b\tc\n", &["a", "b\tc"]),
    ] {
        assert_eq!(names_by(none, csv), expected, "{csv:?}");
    }
    assert_malformed("a;b\n1;2\n3\n", (3, 2));
    assert_malformed("a;b\n1,5\n", (2, 2));
}

#[test]
fn a_sep_line_names_the_delimiter_and_is_not_a_record() {
    for csv in [
        "sep=;\na;b,c,d\n1;2\n",
        "SEP=;\r\na;b,c,d\r\n1;2\r\n",
        "Sep=;\ra;b,c,d\r1;2\r",
        "\"sep=;\"\na;b,c,d\n1;2\n",
        "\u{feff}sep=;\na;b,c,d\n1;2\n",
        "sep=;\n\na;b,c,d\n1;2\n",
    ] {
        assert_eq!(names_by(None, csv), ["a", "b,c,d"], "{csv:?}");
        assert_eq!(summarize(csv).unwrap().rows, 1, "{csv:?}");
    }
    assert_eq!(names_by(None, "sep=\t\na\tb\n1\t2\n"), ["a", "b"]);
    assert_eq!(names_by(None, "sep=|\na|b\n1|2\n"), ["a", "b"]);
    assert_eq!(names_by(None, "sep=,\na;b,c\n1;2,3\n"), ["a;b", "c"]);
    // Only as the first line, only with one character, and not with a letter.
    for (csv, expected) in [
        ("sep=;x\n1;2\n", &["sep=", "x"][..]),
        ("sep=\n1\n", &["sep="]),
        ("sep=x\n1\n", &["sep=x"]),
        ("sep;\n1;2\n", &["sep", ""]),
        ("sép\n1\n", &["sép"]),
        ("a;b\nsep=,;2\n", &["a", "b"]),
    ] {
        assert_eq!(names_by(None, csv), expected, "{csv:?}");
    }
    let error = summarize("sep=:\na:b\n1:2\n").unwrap_err().error;
    assert_eq!(
        error.message,
        "line 1, column 1: the separator ':' is not a comma, semicolon, tab or |"
    );
}

#[test]
fn the_callers_delimiter_takes_precedence() {
    for (delimiter, csv, expected) in [
        (Delimiter::Comma, "a;b;c,d\n1,2\n", ["a;b;c", "d"]),
        (Delimiter::Semicolon, "a;b,c,d\n1;2\n", ["a", "b,c,d"]),
        (Delimiter::Tab, "a\tb,c,d\n1\t2\n", ["a", "b,c,d"]),
        (Delimiter::Pipe, "a|b,c,d\n1|2\n", ["a", "b,c,d"]),
        (Delimiter::Comma, "sep=;\na;b;c,d\n1,2\n", ["a;b;c", "d"]),
        (Delimiter::Comma, "sep=:\na;b;c,d\n1,2\n", ["a;b;c", "d"]),
    ] {
        assert_eq!(names_by(Some(delimiter), csv), expected, "{csv:?}");
    }
    assert_eq!(names_by(Some(Delimiter::Tab), "a,b\n1,2\n"), ["a,b"]);
}

#[test]
fn a_malformed_table_is_a_permanent_error_with_line_and_column() {
    let error = summarize("a,b\n1,2\n3\n").unwrap_err();
    assert!(!error.retryable);
    assert_eq!(error.error.code, "MALFORMED_CSV");
    assert_eq!(
        error.error.message,
        "line 3, column 2: the record has 1 fields, the first one 2"
    );
    assert_eq!(
        error.error.details.unwrap().as_str(),
        r#"{"line":3,"column":2}"#
    );
}

#[test]
fn progress_is_reported_by_rows_and_an_abort_ends_the_work() {
    let csv = format!("a\n{}", "1\n".repeat(2500));
    let run = |test: &TestContext| {
        let args = Args {
            csv: csv.clone(),
            delimiter: None,
        };
        CsvSummarize::run(args, test.context())
            .now_or_never()
            .unwrap()
    };
    let test = TestContext::new();
    assert_eq!(run(&test).unwrap().rows, 2500);
    let messages: Vec<_> = test
        .reports()
        .into_iter()
        .map(|(_, message)| message)
        .collect();
    assert_eq!(messages, ["1000 rows", "2000 rows"]);
    assert_eq!(
        run(&TestContext::new().abort_at(1)).unwrap_err().error.code,
        "ABORTED"
    );
}
