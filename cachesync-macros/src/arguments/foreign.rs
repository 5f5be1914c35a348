//! Arguments as other libraries call them: those of Spring's annotations, and of the crate `cached`.
//!
//! Whoever comes from there writes what they know. Each name is answered with what it is here.

use super::Name;

/// What an argument of another library is here.
pub(super) struct Foreign {
    /// The argument that takes its place, if there is one.
    pub(super) here: Option<Name>,
    /// What to do.
    pub(super) advice: &'static str,
}

/// What `name` is here, if it is known from elsewhere.
pub(super) fn known(name: &str) -> Option<Foreign> {
    let (here, advice) = match name {
        "value" | "cacheNames" | "cache_names" | "cacheName" | "cache_name" | "caches" | "name" => {
            (Some(Name::Cache), "write `cache = \"...\"`, or `cache = [\"...\", \"...\"]` for several")
        }
        "allEntries" | "all_entries" => (Some(Name::All), "write `all`"),
        "beforeInvocation" | "before_invocation" => (Some(Name::Before), "write `before`"),
        "sync" | "sync_writes" | "sync_lock" | "sync_writes_buckets" => {
            (None, "remove it: callers of one key always share a load")
        }
        "cacheManager" | "cache_manager" | "cacheResolver" | "cache_resolver" => {
            (Some(Name::Registry), "write `registry = ...`, if it is not the one that is installed or in scope")
        }
        "keyGenerator" | "key_generator" | "convert" | "key_fn" => {
            (Some(Name::Key), "write `key = ...`, any expression over the parameters")
        }
        "time" | "time_secs" | "ttl_secs" | "ttl_millis" | "timeToLive" | "time_to_live" | "expire" | "expires"
        | "expiry" => (
            Some(Name::Ttl),
            "write `ttl = Duration::from_secs(60)` for this function, or `CacheConfig::new(..).ttl(..)` for the cache",
        ),
        "time_to_idle" | "tti" | "refresh" | "time_refresh" => {
            (None, "remove it: an entry lives for its `ttl`, however often it is read")
        }
        "size" | "max_size" | "capacity" | "max_capacity" | "unbound" | "unbounded" => {
            (None, "remove it, and write `CacheConfig::new(..).capacity(..)` where the registry is built")
        }
        "option" | "result" => {
            (None, "remove it: the return type says so itself. Errors are not kept, and `None` only with `cache_none`")
        }
        "ty" | "create" | "map_error" | "with_cached_flag" | "result_fallback" | "disk" | "redis" => {
            (None, "remove it: nothing here is like it")
        }
        _ => return None,
    };
    Some(Foreign { here, advice })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_spring_and_of_cached_are_known_and_no_name_of_ours_is() {
        for name in "cacheNames value allEntries beforeInvocation sync cacheManager keyGenerator".split(' ') {
            assert!(known(name).is_some(), "{name}");
        }
        for name in "time size option result sync_writes convert".split(' ') {
            assert!(known(name).is_some(), "{name}");
        }
        for attribute in crate::attribute::Attribute::ALL {
            assert!(Name::all_of(attribute).all(|name| known(name.text()).is_none()));
        }
    }
}
