//! What can go wrong.

use std::{error::Error as StdError, fmt, time::Duration};

use cachesync_core::{BackendError, BackendErrorKind, InvalidName};

use crate::engine::depth::{Left, OutboxDepth};

/// Why an operation of a [`Registry`](crate::Registry) failed.
///
/// Opaque: ask it with the predicates. Its text says what to do, and never holds a password.
pub struct Error(Box<Kind>);

#[derive(Debug, thiserror::Error)]
pub(crate) enum Kind {
    #[error("{0}")]
    UnknownCache(String),
    #[error("{0}")]
    TypeMismatch(String),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Several(Vec<Error>),
    #[error("{0}")]
    Configuration(String),
    #[error(transparent)]
    Name(#[from] InvalidName),
    #[error("{0}")]
    Backend(BackendError),
    #[error("the broker has not confirmed within {after:?} the evictions of {left}; they stay queued")]
    Unconfirmed { left: Left, after: Duration },
    #[error("the registry has ended, and the broker had not confirmed the evictions of {left}; they are lost")]
    Lost { left: Left },
    #[error(
        "evictions of {left} are lost: the broker had not confirmed them when the registry ended, {after:?} after its \
         shutdown at the latest"
    )]
    Undelivered { left: Left, after: Duration },
    #[error("another registry is installed; shut it down first, or use `Registry::scope`")]
    AlreadyInstalled,
    #[error("the registry was shut down, or its runtime has ended")]
    ShutDown,
    #[error("the enclosing transaction was rolled back, so the inner one's evictions were discarded")]
    RolledBack,
}

impl Error {
    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Kind::Configuration(message.into()).into()
    }

    /// One error for several; `None` for none.
    pub(crate) fn of_all(mut errors: Vec<Self>) -> Option<Self> {
        match errors.len() {
            0 | 1 => errors.pop(),
            _ => Some(Kind::Several(errors).into()),
        }
    }

    fn any(&self, is: &dyn Fn(&Kind) -> bool) -> bool {
        match &*self.0 {
            Kind::Several(errors) => errors.iter().any(|error| error.any(is)),
            kind => is(kind),
        }
    }

    /// A cache was named that the registry does not have.
    pub fn is_unknown_cache(&self) -> bool {
        self.any(&|kind| matches!(kind, Kind::UnknownCache(_)))
    }

    /// Two users of one cache disagree about its key or value type.
    pub fn is_type_mismatch(&self) -> bool {
        self.any(&|kind| matches!(kind, Kind::TypeMismatch(_)))
    }

    /// A setting is missing, malformed, or contradicts another.
    pub fn is_configuration(&self) -> bool {
        self.any(&|kind| match kind {
            Kind::Configuration(_) | Kind::Name(_) => true,
            Kind::Backend(error) => error.kind() == BackendErrorKind::Configuration,
            _ => false,
        })
    }

    /// The backend could not be reached, or refused; [`backend_kind`](Self::backend_kind) tells which.
    pub fn is_backend(&self) -> bool {
        self.backend_kind().is_some()
    }

    /// What kind of error of the backend's it is, if it is one.
    pub fn backend_kind(&self) -> Option<BackendErrorKind> {
        match &*self.0 {
            Kind::Backend(error) => Some(error.kind()),
            _ => None,
        }
    }

    /// Evictions were not confirmed by the broker in the time allowed.
    pub fn is_timeout(&self) -> bool {
        self.any(&|kind| matches!(kind, Kind::Unconfirmed { .. } | Kind::Undelivered { .. }))
    }

    /// Another registry is the process's default.
    pub fn is_already_installed(&self) -> bool {
        self.any(&|kind| matches!(kind, Kind::AlreadyInstalled))
    }

    /// What the broker had not confirmed in that time, or until the registry ended; `None` if the error is another. Of which
    /// caches says the text.
    ///
    /// It may have arrived all the same, if only its confirmation did not.
    pub fn unconfirmed(&self) -> Option<OutboxDepth> {
        match &*self.0 {
            Kind::Unconfirmed { left, .. } | Kind::Undelivered { left, .. } | Kind::Lost { left } => Some(left.depth()),
            _ => None,
        }
    }

    /// The registry was shut down, or the runtime that it was started on has ended.
    pub fn is_shut_down(&self) -> bool {
        self.any(&|kind| matches!(kind, Kind::ShutDown | Kind::Lost { .. }))
    }

    /// The enclosing transaction was rolled back.
    pub fn is_rolled_back(&self) -> bool {
        self.any(&|kind| matches!(kind, Kind::RolledBack))
    }
}

impl From<Kind> for Error {
    fn from(kind: Kind) -> Self {
        Self(Box::new(kind))
    }
}

/// A backend's own error, as `AmqpBackend::new` returns it.
impl From<BackendError> for Error {
    fn from(error: BackendError) -> Self {
        Kind::Backend(error).into()
    }
}

impl From<InvalidName> for Error {
    fn from(error: InvalidName) -> Self {
        Kind::Name(error).into()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// As `Display`, since `main` prints an error it returns by `Debug`.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &*self.0 {
            Kind::Backend(error) => error.source(),
            _ => None,
        }
    }
}
