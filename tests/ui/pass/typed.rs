//! What `cache!` makes relies on no name of the user's crate, needs no `unsafe` of it, and leaves its documentation and
//! attributes where they belong. The names can be read by the initializers of other statics.

#![no_implicit_prelude]
#![forbid(unsafe_code)]
#![deny(missing_docs, warnings, clippy::pedantic)]

pub mod caches {
    //! Caches.

    /// In place of what the expansion might mean.
    pub struct TypedCache;
    /// The same.
    pub struct TypedInfo;

    ::cachesync::cache! {
        /// Users by id.
        pub USERS: "users" => (u64, ::std::string::String);
        /// Names of tenants.
        pub(crate) NAMES: "names" => ((u32, ::std::string::String), u64);
        #[cfg(any())]
        pub LEFT_OUT: "left-out" => (NoSuchType, u64);
        SEVERAL_ENTRIES_AND_NO_LAST_SEMICOLON: "several" => (u8, u8,)
    }

    static SITES: (&str, &str) = (USERS.name(), NAMES.name());

    /// Uses all of them.
    pub fn sites() -> ((&'static str, &'static str), ::cachesync::CacheConfig) {
        (SITES, SEVERAL_ENTRIES_AND_NO_LAST_SEMICOLON.config())
    }
}

fn main() {
    ::std::assert_eq!(caches::sites().0, (caches::USERS.name(), caches::NAMES.name()));
}
