//! What the scripts install: nothing from npm that runs code on the way, and nothing from PyPI that
//! is not what was pinned.

use tests::readme::{files, root};

/// They fetch and run at once.
const RUNNERS: &str = "npx pipx uvx yarn pnpm";
/// They fetch, by their flags.
const PACKAGERS: &str = "npm pip pip3";
/// What pip fetches packages by.
const PIP_FETCHES: &str = "install download wheel";

#[test]
fn npm_runs_no_scripts_and_pip_takes_pinned_hashes_alone() {
    let mut scripts = 0;
    let mut faults = Vec::new();
    for file in files(root()) {
        let Ok(text) = std::fs::read_to_string(&file) else {
            continue;
        };
        let found = if text.starts_with("#!") || file.extension().is_some_and(|of| of == "sh") {
            scripts += 1;
            script_faults(&text)
        } else if file.extension().is_some_and(|of| of == "rs" || of == "py") {
            // This one names the tools.
            if file.ends_with(file!()) {
                continue;
            }
            program_faults(&text)
        } else {
            continue;
        };
        faults.extend(
            found
                .iter()
                .map(|fault| format!("{}: {fault}", file.display())),
        );
    }
    assert_eq!(faults, [""; 0]);
    assert!(scripts > 5, "{scripts} scripts found");
}

#[test]
fn an_install_without_its_flag_is_noticed() {
    for planted in [
        "npm ci",
        "  npm install --prefix \"$work\" left-pad",
        "npm ci \\\n    --no-audit",
        "cd x && npm i left-pad",
        "npx left-pad",
        "pip install left-pad",
        "\"$directory/bin/pip\" install --quiet left-pad",
        "python3 -m pip install \\\n    --requirement x.txt",
        "uv pip install left-pad",
        "pip3 download left-pad",
    ] {
        assert_eq!(script_faults(planted).len(), 1, "{planted}");
    }
    for right in [
        "# npm ci is for others, as pip install is",
        "command -v npm; echo x",
        "install_packages nodejs npm",
        "npm ci --ignore-scripts",
        "npm ci \\\n    --ignore-scripts",
        "pip --version",
        "pip install \\\n    --require-hashes --requirement x.txt",
    ] {
        assert_eq!(script_faults(right), [""; 0], "{right}");
    }
    for planted in ["npm", "pip", "npx"] {
        let call = format!("Command::new(\"{planted}\")");
        assert_eq!(program_faults(&call).len(), 1, "{call}");
    }
}

/// Each pinned package is in the file with the hashes, in the same version.
#[test]
fn what_is_pinned_is_what_is_installed() {
    let directory = root().join("tests/requirements");
    let pinned = files(&directory).into_iter();
    let pinned = pinned.filter(|file| file.extension().is_some_and(|of| of == "in"));
    let pinned: Vec<_> = pinned.collect();
    assert!(!pinned.is_empty());
    for file in pinned {
        let installed = std::fs::read_to_string(file.with_extension("txt")).unwrap();
        let pinned = std::fs::read_to_string(&file).unwrap();
        for package in pinned.lines().filter(|line| !line.starts_with('#')) {
            let (name, version) = package.split_once("==").unwrap();
            // What a package has besides, as in `moto[server]`, is among the others by then.
            let name = name.split('[').next().unwrap();
            let line = format!("{name}=={version} \\");
            assert!(
                installed.lines().any(|installed| installed == line),
                "{line}"
            );
        }
    }
}

/// Commands that fetch packages without the flag.
fn script_faults(script: &str) -> Vec<String> {
    let joined = script.replace("\\\n", " ");
    let commands = joined.lines().map(str::trim);
    let commands = commands.filter(|line| !line.starts_with('#'));
    commands
        .filter(|line| !is_safe(line))
        .map(str::to_owned)
        .collect()
}

fn is_safe(command: &str) -> bool {
    let words: Vec<_> = command.split_whitespace().collect();
    words.iter().enumerate().all(|(index, word)| {
        let program = word.trim_matches('"').rsplit('/').next();
        let rest = &words[index + 1..];
        match program {
            Some("npm") => rest.is_empty() || rest.contains(&"--ignore-scripts"),
            Some("pip" | "pip3") => {
                let fetches = |word: &&str| PIP_FETCHES.split(' ').any(|fetch| fetch == *word);
                !rest.iter().any(fetches) || rest.contains(&"--require-hashes")
            }
            Some(program) => RUNNERS.split(' ').all(|runner| runner != program),
            None => true,
        }
    })
}

/// Calls of the tools that a program makes itself, past the scripts.
fn program_faults(program: &str) -> Vec<String> {
    let tools = RUNNERS.split(' ').chain(PACKAGERS.split(' '));
    let named = tools.map(|tool| format!("\"{tool}\""));
    named.filter(|named| program.contains(named)).collect()
}
