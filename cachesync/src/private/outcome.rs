//! From an output to whether it is a success, and the value that `result` stands for in `#[cache_evict]`.

use std::ops::Deref;

/// The output of a function, to be looked at: `outcome(&output).value()`.
pub const fn outcome<R>(output: &R) -> Outcome<'_, R> {
    Outcome(PlainOutcome(output))
}

/// First: the value of a `Result` is that of its `Ok`.
pub struct Outcome<'a, R>(PlainOutcome<'a, R>);

/// Last: everything else is its own value, and a success.
pub struct PlainOutcome<'a, R>(&'a R);

impl<'a, T, E> Outcome<'a, Result<T, E>> {
    /// The value; `None` of a failure.
    pub fn value(&self) -> Option<&'a T> {
        self.0.0.as_ref().ok()
    }
}

impl<'a, R> PlainOutcome<'a, R> {
    /// The value.
    pub fn value(&self) -> Option<&'a R> {
        Some(self.0)
    }
}

impl<'a, R> Deref for Outcome<'a, R> {
    type Target = PlainOutcome<'a, R>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_succeeds_on_ok_and_anything_else_always_does() {
        assert_eq!(outcome(&Ok::<_, ()>(1)).value(), Some(&1));
        assert_eq!(outcome(&Err::<u8, _>(())).value(), None);
        assert_eq!(outcome(&None::<u8>).value(), Some(&None));
    }
}
