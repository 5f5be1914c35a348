//! The README shows programs that are compiled and run here.

fn assert_shown(file: &str, program: &str, language: &str) {
    let (_, program) = program.split_once("\n\n").expect("a line of documentation comes first");
    assert!(
        include_str!("../../README.md").contains(&format!("```{language}\n{program}```\n")),
        "README.md does not show what is in {file}; copy it there"
    );
}

#[test]
fn the_readme_shows_the_quickstart() {
    assert_shown("examples/quickstart.rs", include_str!("../quickstart.rs"), "rust");
}

#[test]
fn the_readme_shows_how_a_service_is_tested() {
    // Its annotated function must not be linked into one program with the other examples.
    assert_shown("examples/tests/testing.rs", include_str!("testing.rs"), "rust,standalone_crate");
}
