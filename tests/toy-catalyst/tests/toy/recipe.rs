//! The recipe's code is the toy's.

use std::fs;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The blocks of the page that say where they are from, each with that file's path.
fn quoted(page: &str) -> Vec<(&str, &str)> {
    let quoted = page.split("<!-- from: ").skip(1).map(|part| {
        let (path, rest) = part.split_once(" -->\n").unwrap();
        let fenced = rest.strip_prefix("```").unwrap().split_once('\n').unwrap().1;
        (path, fenced.split_once("\n```").unwrap().0)
    });
    quoted.collect()
}

#[test]
fn its_code_is_the_toys() {
    let page = fs::read_to_string(format!("{ROOT}/docs/backends/README.md")).unwrap();
    let quoted = quoted(&page);
    assert!(quoted.len() >= 8, "{}", quoted.len());
    // No code without its origin.
    assert_eq!(page.matches("\n```rust").count() + page.matches("\n```toml").count(), quoted.len());
    for (path, block) in quoted {
        let file = fs::read_to_string(format!("{ROOT}/{path}")).unwrap();
        assert!(file.contains(block), "{path} does not hold this any more:\n{block}");
    }
}
