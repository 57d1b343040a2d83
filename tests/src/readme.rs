//! The Markdown pages, which describe this version, and the parts of them that tests compare with
//! the code.
//!
//! Such a part is between two comments, `<!-- NAME -->` and `<!-- /NAME -->`. The changelog is not
//! among the pages, since its entries describe older versions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The text of each page by its path from the root of the repository.
pub static PAGES: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let files = files(root()).into_iter();
    let pages = files.filter(|file| file.extension().is_some_and(|of| of == "md"));
    let pages = pages.filter(|file| !file.ends_with("CHANGELOG.md"));
    pages
        .map(|file| {
            let path = file.strip_prefix(root()).unwrap().to_str().unwrap();
            (path.to_owned(), std::fs::read_to_string(&file).unwrap())
        })
        .collect()
});

/// The part of a page with this name.
#[must_use]
pub fn part(page: &str, name: &str) -> &'static str {
    let page = &PAGES[page];
    let (_, rest) = page.split_once(&format!("<!-- {name} -->")).unwrap();
    rest.split_once(&format!("<!-- /{name} -->"))
        .unwrap()
        .0
        .trim()
}

/// The code of a part that is a block of code.
#[must_use]
pub fn code(page: &str, name: &str) -> &'static str {
    let (_, code) = part(page, name).split_once('\n').unwrap();
    code.strip_suffix("```").unwrap()
}

/// The root of the repository.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// All files below a directory, without what is built or installed there.
#[must_use]
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().and_then(|name| name.to_str());
        if !path.is_dir() {
            found.push(path);
        } else if !matches!(name, Some("target" | ".git" | ".aws-sam" | "node_modules")) {
            found.extend(files(&path));
        }
    }
    found
}
