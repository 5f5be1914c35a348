//! A node's connection to the source of truth: transactions that take their time, and whose end may stay unknown.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::sleep;

use crate::{
    dice::Dice,
    history::Event,
    source::{RowKey, Table},
    world::World,
};

/// How the database answers to a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Committed,
    /// It has committed, and the answer was lost.
    LostAfter,
    /// It will commit or not, and says nothing.
    LostBefore,
}

/// The answer to a commit never came.
#[derive(Debug)]
pub(crate) struct NoAnswer;

/// What an operation wrote and is to be confirmed. Filled also by transactions whose future was dropped.
pub(crate) type Written = Arc<Mutex<Versions>>;

#[derive(Default)]
pub(crate) struct Versions {
    pub(crate) applied: Vec<(RowKey, u32)>,
    /// Their evictions are sent once more when the hold is over, and count as confirmed when that is.
    pub(crate) in_doubt: Vec<(RowKey, u32)>,
}

/// A transaction of the database. Dropped, it is rolled back; dropped while it commits, nobody knows.
pub(crate) struct DatabaseTransaction {
    world: Arc<World>,
    node: usize,
    incarnation: u64,
    pub(crate) id: u64,
    pub(crate) writes: Vec<(RowKey, u32)>,
    written: Written,
    stage: Stage,
    /// It is that of an annotated function, whose evictions are held if it is cut short.
    function_of: Option<Table>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    Committing,
    Ended,
}

impl DatabaseTransaction {
    pub(crate) fn begin(
        world: &Arc<World>,
        node: usize,
        incarnation: u64,
        written: &Written,
        function_of: Option<Table>,
    ) -> Self {
        let id = world.source().begin();
        let (world, written) = (world.clone(), written.clone());
        Self { world, node, incarnation, id, writes: Vec::new(), written, stage: Stage::Open, function_of }
    }

    /// Writes a row; `None` if somebody else has it locked.
    pub(crate) fn write(&mut self, key: RowKey, deleted: bool) -> Option<u32> {
        let version = self.world.source().write(self.id, self.node, key, deleted)?;
        self.writes.push((key, version));
        self.world.note(Some(self.node), Some(key), Event::Write { transaction: self.id, version });
        Some(version)
    }

    /// Undoes what was written after the first `writes` writes.
    pub(crate) fn roll_back_to(&mut self, writes: usize) {
        let undone = self.writes.split_off(writes);
        self.world.source().undo(&undone);
        for (key, version) in undone {
            self.world.note(Some(self.node), Some(key), Event::RolledBack { transaction: self.id, version });
        }
    }

    /// Commits; the answer takes its time, as the commit does.
    pub(crate) async fn commit(&mut self, answer: Answer, mut dice: Dice) -> Result<(), NoAnswer> {
        self.stage = Stage::Committing;
        let steps = self.world.plan.database.clone();
        sleep(dice.millis(steps.clone())).await;
        match answer {
            Answer::Committed | Answer::LostAfter => {
                self.world.end(self.id, true);
                sleep(dice.millis(steps)).await;
            }
            Answer::LostBefore => {}
        }
        if answer == Answer::Committed {
            // Until it was applied nobody has evicted anything.
            return Ok(());
        }
        self.in_doubt();
        Err(NoAnswer)
    }

    /// Whose evictions come with it.
    fn tables(&self) -> Vec<Table> {
        self.writes.iter().map(|(key, _)| key.table).chain(self.function_of).collect()
    }

    pub(crate) fn roll_back(mut self) {
        self.stage = Stage::Ended;
        self.world.end(self.id, false);
    }

    /// The commit was applied on the node, in this very step.
    pub(crate) fn applied(mut self) {
        self.stage = Stage::Ended;
        if !self.world.lives(self.node, self.incarnation) {
            return;
        }
        for (key, version) in &self.writes {
            self.world.source().applied(*key, *version, self.world.now());
            self.world.stored(self.node, *key, Some(*version));
            self.world.note(Some(self.node), Some(*key), Event::Applied { version: *version });
        }
        self.world.bump(self.node, self.tables());
        self.written.lock().unwrap_or_else(PoisonError::into_inner).applied.extend_from_slice(&self.writes);
    }

    /// Nobody knows: the database makes up its mind within the settle time, and the node was told to hold.
    fn in_doubt(&mut self) {
        self.stage = Stage::Ended;
        let world = self.world.clone();
        world.count(|counts| counts.in_doubt += 1);
        if world.lives(self.node, self.incarnation) {
            for (key, version) in &self.writes {
                world.source().applied(*key, *version, world.now());
                world.note(Some(self.node), Some(*key), Event::InDoubt { version: *version });
            }
            world.may_be_held(self.node, self.tables());
            self.written.lock().unwrap_or_else(PoisonError::into_inner).in_doubt.extend_from_slice(&self.writes);
        }
        let settle = u64::try_from(world.plan.settle.as_millis()).unwrap_or(u64::MAX);
        let (delay, commit) = world.dice(|dice| (dice.millis(0..settle.saturating_sub(100)), dice.chance(500)));
        let id = self.id;
        tokio::spawn(async move {
            sleep(delay).await;
            // Of what is committed already nothing is open.
            world.end(id, commit);
        });
    }
}

impl Drop for DatabaseTransaction {
    fn drop(&mut self) {
        if self.stage != Stage::Ended && self.world.lives(self.node, self.incarnation) {
            self.world.may_be_held(self.node, self.function_of);
        }
        match self.stage {
            Stage::Open => self.world.end(self.id, false),
            Stage::Committing => self.in_doubt(),
            Stage::Ended => {}
        }
    }
}
