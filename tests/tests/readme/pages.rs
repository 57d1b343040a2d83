//! The pages as a whole: what they link to, which commands they show, and how long they are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use tests::readme::{PAGES, files, root};

use crate::README;

const README_LINES_MAX: usize = 200;
const PAGE_LINES_MAX: usize = 400;
const COLUMNS_MAX: usize = 100;

/// A link in a page. Its target is a path from the page, an anchor, both, or a URL.
struct Link<'a> {
    page: &'a str,
    target: &'a str,
}

impl Link<'_> {
    fn is_url(&self) -> bool {
        self.target.starts_with("https://")
    }

    /// The path from the root, and the anchor in it.
    fn resolve(&self) -> (PathBuf, Option<&str>) {
        match self.target.split_once('#') {
            Some((path, anchor)) => (resolve(self.page, path), Some(anchor)),
            None => (resolve(self.page, self.target), None),
        }
    }
}

/// The path from the root of what a page names by a path from itself.
pub(crate) fn resolve(page: &str, path: &str) -> PathBuf {
    if path.is_empty() {
        return PathBuf::from(page);
    }
    let mut resolved = Path::new(page).parent().unwrap().to_owned();
    for component in Path::new(path).components() {
        match component {
            Component::ParentDir => assert!(resolved.pop(), "{path} leaves the repository"),
            other => resolved.push(other),
        }
    }
    resolved
}

#[test]
fn no_page_is_longer_than_its_reader_needs() {
    for (page, text) in &*PAGES {
        let lines = text.lines().count();
        let lines_max = if page == README {
            README_LINES_MAX
        } else {
            PAGE_LINES_MAX
        };
        assert!(lines <= lines_max, "{page} has {lines} lines");
    }
}

#[test]
fn prose_is_wrapped() {
    for (page, text) in &*PAGES {
        for line in prose(text) {
            let is_long = line.chars().count() > COLUMNS_MAX;
            assert!(!is_long || is_indivisible(line), "{page} has {line}");
        }
    }
}

/// Whether a line is the row of a table, a definition of a reference, or a single link or word.
fn is_indivisible(line: &str) -> bool {
    let line = line.trim_start_matches([' ', '-', '(']);
    let words = match line
        .strip_prefix('[')
        .and_then(|link| link.split_once("]("))
    {
        Some((_, target)) => target,
        None => line,
    };
    line.starts_with('|') || line.contains("]: ") || !words.contains(' ')
}

#[test]
fn every_link_leads_somewhere() {
    let mut links_between_pages = 0;
    for (page, text) in &*PAGES {
        for link in links(page, text) {
            if link.is_url() {
                continue;
            }
            let (path, anchor) = link.resolve();
            let names_it = format!("{page} links to {}", link.target);
            assert!(root().join(&path).exists(), "{names_it}");
            if let Some(anchor) = anchor {
                let linked = PAGES.get(path.to_str().unwrap());
                let linked = linked.unwrap_or_else(|| panic!("{names_it}, which is not a page"));
                assert!(anchors(linked).contains(anchor), "{names_it}");
                links_between_pages += 1;
            }
        }
    }
    assert!(links_between_pages > 10);
}

#[test]
fn every_reference_is_defined_and_every_definition_is_used() {
    for (page, text) in &*PAGES {
        let defined: BTreeSet<_> = definitions(text).map(|(name, _)| name).collect();
        let prose = prose(text);
        let used: BTreeSet<_> = prose
            .iter()
            .flat_map(|line| line.split("][").skip(1))
            .map(|rest| rest.split(']').next().unwrap())
            .collect();
        assert_eq!(used, defined, "{page}");
    }
}

#[test]
fn every_page_is_reached_from_the_root() {
    let mut reached = BTreeSet::new();
    let mut next = vec![README.to_owned()];
    while let Some(page) = next.pop() {
        let links = links(&page, &PAGES[&page]);
        let paths = links.iter().filter(|link| !link.is_url());
        let paths = paths.map(|link| link.resolve().0.to_str().unwrap().to_owned());
        next.extend(paths.filter(|path| PAGES.contains_key(path) && !reached.contains(path)));
        reached.insert(page);
    }
    let unreached: Vec<_> = PAGES
        .keys()
        .filter(|page| !reached.contains(*page))
        .collect();
    assert_eq!(unreached, [""; 0]);
}

#[test]
fn what_the_commands_name_exists() {
    let mut names = 0;
    for (page, text) in &*PAGES {
        for command in commands(text) {
            for (directory, target) in targets(&command) {
                let names_it = format!("{page} has {command}");
                let file = root().join(format!("tests/{directory}/{target}.rs"));
                let main = root().join(format!("tests/{directory}/{target}/main.rs"));
                assert!(file.exists() || main.exists(), "{names_it}");
                names += 1;
            }
            for package in after(&command, &["-p", "--package"]) {
                assert!(packages().contains(package), "{page} has {command}");
                names += 1;
            }
        }
        let words = text.split(|separator: char| separator.is_whitespace() || separator == '`');
        for script in words.filter(|word| is_script(word)) {
            assert!(root().join(script).exists(), "{page} has {script}");
            names += 1;
        }
    }
    assert!(names > 20, "{names}");
}

#[test]
fn anchors_are_those_that_github_makes() {
    let page = "# A walk, through\n## `A_B` & more\n```\n# code\n```\n## Twice\n## Twice\n";
    let expected = ["a-walk-through", "a_b--more", "twice", "twice-1"];
    assert_eq!(anchors(page), expected.map(str::to_owned).into());
}

/// Inline links and definitions of references.
fn links<'a>(page: &'a str, text: &'a str) -> Vec<Link<'a>> {
    let prose = prose(text).into_iter();
    let inline = prose.flat_map(|line| line.split("](").skip(1));
    let inline = inline.map(|rest| rest.split(')').next().unwrap());
    let targets = inline.chain(definitions(text).map(|(_, target)| target));
    targets.map(|target| Link { page, target }).collect()
}

/// Lines of `[NAME]: TARGET`.
fn definitions(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let prose = prose(text).into_iter();
    prose.filter_map(|line| line.strip_prefix('[')?.split_once("]: "))
}

/// The lines outside blocks of code.
fn prose(text: &str) -> Vec<&str> {
    let mut is_code = false;
    let lines = text.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    lines.collect()
}

/// Headings as GitHub spells them in links.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    let headings = prose(text).into_iter().filter(|line| line.starts_with('#'));
    let headings = headings.filter_map(|line| line.trim_start_matches('#').strip_prefix(' '));
    headings
        .map(|heading| {
            let stays = |of: &char| of.is_alphanumeric() || matches!(of, ' ' | '-' | '_');
            let kept: String = heading.to_lowercase().chars().filter(stays).collect();
            let anchor = kept.replace(' ', "-");
            let before = times.entry(anchor.clone()).or_default();
            *before += 1;
            match *before {
                1 => anchor,
                nth => format!("{anchor}-{}", nth - 1),
            }
        })
        .collect()
}

/// The commands in blocks of code, each with its continuation lines.
fn commands(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let commands = joined
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("$ "));
    commands.map(str::to_owned).collect()
}

/// The tests and benchmarks that a command names, each with its directory in `tests`.
fn targets(command: &str) -> Vec<(&str, &str)> {
    // Integration tests of another package are in its own directory.
    if !after(command, &["-p", "--package"])
        .iter()
        .all(|package| *package == "tests")
    {
        return Vec::new();
    }
    let tests = after(command, &["--test"])
        .into_iter()
        .map(|test| ("tests", test));
    let benches = after(command, &["--bench"])
        .into_iter()
        .map(|bench| ("benches", bench));
    tests.chain(benches).collect()
}

fn is_script(word: &str) -> bool {
    word.starts_with("tests/") && Path::new(word).extension().is_some_and(|of| of == "sh")
}

/// The words that follow one of these flags.
fn after<'a>(command: &'a str, flags: &[&str]) -> Vec<&'a str> {
    let words: Vec<_> = command.split_whitespace().collect();
    let pairs = words.windows(2).filter(|pair| flags.contains(&pair[0]));
    // In `(set -a; cargo run -p operator)`.
    pairs
        .map(|pair| pair[1].trim_end_matches([')', ';']))
        .collect()
}

/// The names of the workspace's packages.
fn packages() -> BTreeSet<String> {
    let manifests = files(root())
        .into_iter()
        .filter(|file| file.ends_with("Cargo.toml"));
    manifests
        .filter_map(|manifest| {
            let text = std::fs::read_to_string(manifest).unwrap();
            let name = text.lines().find_map(|line| line.strip_prefix("name = \""));
            Some(name?.trim_end_matches('"').to_owned())
        })
        .collect()
}
