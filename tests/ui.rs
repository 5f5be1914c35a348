//! What the compiler says about mistakes in the attributes, and programs in which there is none.
//!
//! `TRYBUILD=overwrite cargo test -p cachesync-tests --test ui` writes what it says now; then read it: each message has to
//! suffice to mend the mistake.

#[test]
fn each_mistake_has_its_message_and_correct_programs_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("ui/*.rs");
    cases.pass("ui/pass/*.rs");
}
