//! The rules of coherence, each attacked by tests that tell the interleaving step by step.
//!
//! | module | rules |
//! |---|---|
//! | [`admission`] | how many loads run at the same time; R9 of those who wait for that |
//! | [`stale_fill`] | R1: no value that an eviction overtook is kept |
//! | [`outcomes`] | R2: what becomes of evictions when nobody knows whether the database committed |
//! | [`transactions`] | R2 and R3: after the commit, only after the commit; a transaction reads its own writes |
//! | [`batches`] | R9 of batches where loads are limited or keys are held |
//! | [`bounds`] | nothing grows without limit |
//! | [`broadcast`] | R4, R7: every eviction travels, and waits while the broker is away |
//! | [`delivery`] | R7: `flush` and `shutdown` end, and say what was not delivered |
//! | [`messages`] | how many messages evictions take |
//! | [`sessions`] | R5, R6, R8: lost sessions, the lease, reconnecting |
//! | [`sequences`] | R5: messages that are missing although the session goes on |
//! | [`resume`] | R8: sessions that resume where the last one ended |
//! | [`partition`] | R6 past the lease: what is served, kept and shared then |
//! | [`changes`] | being told of lost and new sessions |
//! | [`tags`] | R2, R4, R5, R7, R10 of evictions by tag |
//! | [`predicate`] | R1 to R4 of evictions by predicate |
//! | [`tasks`] | R2 and R3 in spawned tasks; transactions that outlive their registry |
//! | [`typed`] | caches that are declared with their types |
//! | [`waiters`] | single flight, and R9: cancellation, panics, errors, bounded waits |
//! | [`dropped`] | R9: loads whose futures are dropped |
//! | [`panics`] | code of the user's that panics |
//! | [`reentry`] | code of the user's that uses the cache where it is dropped |
//! | [`wire`] | R5 and R10: what other programs send, garbage, foreign key shapes |
//! | [`shared_keys`], [`signed_json`] | what is not authentic is refused, and nothing is lost by that |
//! | [`lifecycle`] | starting, installing, scopes, the end of a registry or its runtime |
//!
//! All annotated functions of this program are checked at every start, so registries that are not about that check
//! bypass unknown caches.

mod admission;
mod batches;
mod bounds;
mod broadcast;
mod changes;
mod delivery;
mod dropped;
mod lifecycle;
mod limited;
mod logged;
mod messages;
mod nodes;
mod outcomes;
mod panics;
mod partition;
mod portions;
mod predicate;
mod reentry;
mod resume;
mod send;
mod sequences;
mod sessions;
mod shared_keys;
mod signed_json;
mod stale_fill;
mod tags;
mod tasks;
mod transactions;
mod typed;
mod waiters;
mod wire;
