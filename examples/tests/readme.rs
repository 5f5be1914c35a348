//! The README shows what the examples are.

#[test]
fn the_readme_shows_the_quickstart() {
    let program = include_str!("../quickstart.rs");
    let (_, program) = program.split_once("\n\n").expect("a line of documentation comes first");
    assert!(
        include_str!("../../README.md").contains(&format!("```rust\n{program}```\n")),
        "the README's example is not examples/quickstart.rs; copy it"
    );
}
