//! From what a body returned to what is kept of it: the arguments `unless`, `ttl`, `tags`, `cache_none`, `cache_err`.

use std::{fmt, time::Duration};

use super::Returned;
use crate::cache::{content::SharedFailure, load::Verdict, tags::Tag};

/// What is to become of what a body returned.
#[derive(Clone, Default)]
pub struct Policy(pub(crate) Verdict);

impl Policy {
    /// A value is kept as the cache's settings say; nothing else is.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing is kept, whatever is said after this.
    pub fn refuse(&mut self) {
        self.0.refused = true;
    }

    /// The ttl of this entry.
    pub fn ttl(&mut self, ttl: impl IntoTtl) {
        self.0.terms.ttl = ttl.into_ttl();
    }

    /// A tag of this entry.
    pub fn tag(&mut self, tag: &(impl TagText + ?Sized)) {
        self.0.terms.tags.push(Tag::new(tag));
    }

    /// Tags of this entry.
    pub fn tags<T: TagText>(&mut self, tags: impl Iterator<Item = T>) {
        self.0.terms.tags.extend(tags.map(|tag| Tag::new(&tag)));
    }

    /// It is kept that there is nothing.
    pub fn keep_none(&mut self) {
        self.0.keep_nothing = !self.0.refused;
    }

    /// It is kept that this error is returned.
    pub fn keep_error(&mut self, failure: SharedFailure) {
        self.0.failure = Some(failure).filter(|_| !self.0.refused);
    }
}

impl From<Policy> for Verdict {
    fn from(policy: Policy) -> Self {
        policy.0
    }
}

/// Tags to evict.
#[derive(Default)]
pub struct Tags(pub(crate) Vec<Tag>);

impl Tags {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more.
    #[must_use]
    pub fn tag(mut self, tag: &(impl TagText + ?Sized)) -> Self {
        self.0.push(Tag::new(tag));
        self
    }
}

/// The text of a tag.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a tag",
    label = "has no text",
    note = "a tag is text: anything that is `Display`, such as `format!(\"team:{{id}}\")`",
    note = "several tags are a list: write `[a, b]`"
)]
pub trait TagText: fmt::Display {}

#[diagnostic::do_not_recommend]
impl<T: fmt::Display + ?Sized> TagText for T {}

/// What `ttl` can be.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a ttl",
    label = "expected a `Duration`",
    note = "write `ttl = Duration::from_secs(60)`; an `Option<Duration>`, of which `None` means the ttl of the cache; or a \
            closure over the value that returns one of these"
)]
pub trait IntoTtl {
    /// The ttl; `None` for that of the cache.
    fn into_ttl(self) -> Option<Duration>;
}

impl IntoTtl for Duration {
    fn into_ttl(self) -> Option<Duration> {
        Some(self)
    }
}

impl IntoTtl for Option<Duration> {
    fn into_ttl(self) -> Option<Duration> {
        self
    }
}

/// The ttl that a closure finds in the value.
pub fn ttl_of<V, T: IntoTtl>(value: &V, ttl: impl FnOnce(&V) -> T) -> Option<Duration> {
    ttl(value).into_ttl()
}

/// The value in an output that would be kept.
pub fn look<R: Returned>(returned: R, output: &R::Output) -> Option<&R::Value> {
    _ = returned;
    R::value(output)
}

/// Whether an output says, without an error, that there is nothing; never of a type that cannot.
pub fn is_nothing<R: Returned>(returned: R, output: &R::Output) -> bool {
    _ = returned;
    R::is_nothing(output)
}

/// What can say that there is nothing.
#[diagnostic::on_unimplemented(
    message = "`cache_none` needs a function that can return `None`",
    label = "neither `Option<_>` nor `Result<Option<_>, _>`",
    note = "return `Option<T>` or `Result<Option<T>, E>`, or remove `cache_none`"
)]
pub trait HasNone {
    /// Whether it says so.
    fn is_none(&self) -> bool;
}

impl<T> HasNone for Option<T> {
    fn is_none(&self) -> bool {
        Option::is_none(self)
    }
}

impl<T, E> HasNone for Result<Option<T>, E> {
    fn is_none(&self) -> bool {
        matches!(self, Ok(None))
    }
}

/// Whether an output says that there is nothing.
pub fn is_none<R: HasNone>(output: &R) -> bool {
    output.is_none()
}

/// What can fail.
#[diagnostic::on_unimplemented(
    message = "`cache_err` needs a function that returns a `Result`",
    label = "not a `Result`",
    note = "return `Result<T, E>`, or remove `cache_err`"
)]
pub trait HasError {
    /// The error.
    type Error;
    /// The error.
    fn error(&self) -> Option<&Self::Error>;
}

impl<T, E> HasError for Result<T, E> {
    type Error = E;

    fn error(&self) -> Option<&E> {
        self.as_ref().err()
    }
}

/// The error in an output.
pub fn error_of<R: HasError>(output: &R) -> Option<&R::Error> {
    output.error()
}

/// What `cache_err` says of an error.
pub fn judge<E>(error: &E, keep: impl FnOnce(&E) -> bool) -> bool {
    keep(error)
}

/// An error that can be kept.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be kept by `cache_err`",
    label = "not `Clone + Send + Sync + 'static`",
    note = "a cached error is cloned for every caller, in any thread: derive `Clone` for it, or wrap it in an `Arc`"
)]
pub trait CachedError: Clone + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<E: Clone + Send + Sync + 'static> CachedError for E {}

/// The error, as it is kept.
pub fn shared_failure<E: CachedError>(error: &E) -> SharedFailure {
    SharedFailure::new(error.clone())
}
