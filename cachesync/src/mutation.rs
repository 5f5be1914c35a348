//! Ways to break the rules on purpose: each must make the simulation or a model fail, or they check less than they say.
//!
//! Architecture invariant: without `--cfg cachesync_mutations`, which `cargo xtask simulate --mutations` and
//! `cargo xtask chaos --mutation` alone give, or `--cfg cachesync_shuttle` in unit tests, which `cargo xtask model` gives, the
//! question whether one is on is the constant `false`. These are no Cargo features, so no dependency of anybody's can turn
//! them on.

/// One way to break a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(cachesync_mutations), expect(unreachable_pub, reason = "the simulation reaches it with the flag"))]
pub enum Mutation {
    /// R1: an eviction leaves the tickets of loads in flight alone.
    KeepOvertakenLoads,
    /// R1: a put leaves them alone.
    DoNotOvertakeByPuts,
    /// R1: loads that may bring in an evicted tag can still be joined.
    DoNotDetachTaggedLoads,
    /// R1: a load that is older than the eviction of its tag is kept.
    KeepLoadsOlderThanTheirTag,
    /// R1: a put that finds its key in its result is kept, whatever was evicted since its body began.
    KeepOvertakenPuts,
    /// R1: nothing is found by its tags.
    ForgetTags,
    /// R2: the commit is applied before the database's.
    ApplyBeforeTheDatabase,
    /// R2: a commit whose answer is lost is rolled back.
    DiscardUnknownOutcomes,
    /// R2: what is held is kept.
    IgnoreHolds,
    /// R2: an eviction of unknown outcome is sent once.
    DoNotRepeatAfterTheHold,
    /// R2: a rollback puts.
    ApplyOnRollback,
    /// R2: an inner transaction that commits takes what it has pending along.
    DropInnerTransactions,
    /// R2: what is evicted for a transaction that has ended is lost.
    DropLateEvictions,
    /// R3: what a transaction evicts it still reads from the cache.
    ReadWhatIsPending,
    /// R3: what a transaction loads is kept.
    FillInsideTransactions,
    /// R4: an eviction stays on its node.
    TellNobody,
    /// R5: a missing frame is not noticed.
    IgnoreGaps,
    /// R5: that a message of the node to itself is missing is not noticed.
    IgnoreOwnGaps,
    /// R5: the last frame before a silence is not followed by any.
    SendNoTrailers,
    /// R5, with shared keys: the frame after the last one heard is refused as if it were that one.
    RefuseTheNext,
    /// R6: entries are served past the lease.
    ServePastTheLease,
    /// R6: the time for which a machine sleeps does not count.
    IgnoreSleep,
    /// R6: who was allowed to serve past the lease goes on to.
    KeepServingStale,
    /// R6: whatever is heard renews the lease.
    RenewOnAnyFrame,
    /// R6: a heartbeat that was sent renews it, heard or not.
    RenewUnheard,
    /// R6: the lease counts from when the heartbeat was heard.
    RenewFromReceipt,
    /// R7: too many evictions are dropped.
    DropOnOverflow,
    /// R7: what was not confirmed when the session was lost is not sent again.
    DoNotResend,
    /// R7: it is said to be confirmed when it is sent.
    ConfirmBeforeItIsTaken,
    /// R8: a new session does not clear.
    DoNotClearOnReconnect,
    /// R8: a session that resumes renews the lease at once.
    RenewOnResume,
    /// R8: a position is remembered before its delivery is applied.
    KeepPositionOfUnapplied,
    /// R2: a load of a held key can be joined when its body has begun. The models notice; simulated loads seldom queue.
    JoinLoadsThatRun,
    /// R6: past the lease a load can be joined however old it is. The models notice; simulated loads are younger.
    JoinAtAnyAge,
    /// R9: every caller loads for itself, although another does.
    NeverShareLoads,
    /// R9: whoever waits for a load does so for as long as it takes.
    WaitWithoutBound,
    /// R9: a load that is dropped tells nobody.
    AbandonInSilence,
    /// R9: any number of loads run at the same time.
    AdmitEverybody,
    /// Entries: what has expired is served.
    ServeExpired,
}

#[cfg(not(any(cachesync_mutations, all(test, cachesync_shuttle))))]
impl Mutation {
    /// Never.
    #[inline(always)]
    #[expect(clippy::inline_always, clippy::unused_self, reason = "it is to leave nothing behind")]
    pub(crate) const fn is_on(self) -> bool {
        false
    }
}

#[cfg(any(cachesync_mutations, all(test, cachesync_shuttle)))]
mod switch {
    use std::cell::Cell;

    use super::Mutation;

    thread_local! {
        static ON: Cell<Option<Mutation>> = const { Cell::new(None) };
    }

    impl Mutation {
        pub(crate) fn is_on(self) -> bool {
            ON.get() == Some(self)
        }

        /// Breaks the rule for what runs on this thread; `None` mends it.
        #[cfg_attr(not(cachesync_mutations), expect(unreachable_pub, reason = "the simulation reaches it"))]
        pub fn set(mutation: Option<Self>) {
            ON.set(mutation);
        }
    }
}
