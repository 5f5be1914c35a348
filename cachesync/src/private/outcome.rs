//! From an output to whether it is a success, and the value that `result` stands for in `#[cache_evict]`.

/// The output of a function, to be looked at: `(&&Outcome(&output)).value()`.
pub struct Outcome<'a, R>(pub &'a R);

/// First: the value of a `Result` is that of its `Ok`.
pub trait OutcomeOfResult<'a> {
    /// The value.
    type Value;
    /// The value; `None` of a failure.
    fn value(&self) -> Option<&'a Self::Value>;
}

/// Last: everything else is its own value, and a success.
pub trait OutcomePlain<'a> {
    /// The value.
    type Value;
    /// The value.
    fn value(&self) -> Option<&'a Self::Value>;
}

impl<'a, T, E> OutcomeOfResult<'a> for &Outcome<'a, Result<T, E>> {
    type Value = T;

    fn value(&self) -> Option<&'a T> {
        self.0.as_ref().ok()
    }
}

impl<'a, R> OutcomePlain<'a> for Outcome<'a, R> {
    type Value = R;

    fn value(&self) -> Option<&'a R> {
        Some(self.0)
    }
}

#[cfg(test)]
#[expect(clippy::needless_borrow, reason = "the number of references chooses the trait")]
mod tests {
    use super::*;

    #[test]
    fn a_result_succeeds_on_ok_and_anything_else_always_does() {
        assert_eq!((&&Outcome(&Ok::<_, ()>(1))).value(), Some(&1));
        assert_eq!((&&Outcome(&Err::<u8, _>(()))).value(), None);
        assert_eq!((&&Outcome(&None::<u8>)).value(), Some(&None));
    }
}
