//! The parts of `README.md` that are held to the code. Each stands between two comments, `<!-- NAME -->` and `<!-- /NAME -->`.

/// The whole page.
pub const README: &str = include_str!("../../README.md");

/// What stands between two comments.
#[must_use]
pub fn part(name: &str) -> &'static str {
    let (_, rest) = README.split_once(&format!("<!-- {name} -->")).unwrap();
    rest.split_once(&format!("<!-- /{name} -->"))
        .unwrap()
        .0
        .trim()
}

/// The code of a part that is a block of code.
#[must_use]
pub fn code(name: &str) -> &'static str {
    let (_, code) = part(name).split_once('\n').unwrap();
    code.strip_suffix("```").unwrap()
}
