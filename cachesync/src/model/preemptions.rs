//! Every schedule in which threads are interrupted a few times at the most.
//!
//! Iterative context bounding, as in Musuvathi and Qadeer, "Iterative context bounding for systematic testing of
//! multithreaded programs" (PLDI 2007): a thread runs until it waits or ends, but for a bounded number of interruptions, which
//! may be anywhere. There are few such schedules, polynomially many in the number of steps, and most mistakes show in
//! one or two interruptions. Depth first, so none is tried twice and it is known when all have been.

use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};

pub(super) struct BoundedPreemptions {
    limit: usize,
    /// Of this schedule: how often a thread was interrupted.
    preemptions: usize,
    /// What was chosen at each step, of how many.
    choices: Vec<(usize, usize)>,
    step: usize,
    /// The most schedules.
    left: usize,
}

impl BoundedPreemptions {
    /// With so many interruptions; gives up after so many schedules.
    pub(super) fn new(limit: usize, schedules: usize) -> Self {
        Self { limit, preemptions: 0, choices: Vec::new(), step: 0, left: schedules }
    }

    /// Goes to the last choice that has another way, and takes it; `false` if there is none.
    fn turn_back(&mut self) -> bool {
        while let Some((choice, of)) = self.choices.pop() {
            if choice + 1 < of {
                self.choices.push((choice + 1, of));
                return true;
            }
        }
        false
    }
}

impl Scheduler for BoundedPreemptions {
    fn new_execution(&mut self) -> Option<Schedule> {
        let is_first = self.step == 0;
        if self.left == 0 || !is_first && !self.turn_back() {
            return None;
        }
        self.left -= 1;
        (self.step, self.preemptions) = (0, 0);
        Some(Schedule::new(0))
    }

    fn next_task(&mut self, runnable: &[&Task], current: Option<TaskId>, is_yielding: bool) -> Option<TaskId> {
        let current = runnable.iter().position(|task| Some(task.id()) == current);
        // Who asks to be interrupted is interrupted for nothing; going on comes first.
        let of = if current.is_none() || is_yielding || self.preemptions < self.limit { runnable.len() } else { 1 };
        if self.step == self.choices.len() {
            self.choices.push((0, of));
        }
        let (choice, known) = self.choices[self.step];
        assert_eq!(known, of, "a model has to do the same under the same schedule");
        self.step += 1;
        let next = match current {
            Some(current) if choice == 0 => current,
            Some(current) if choice <= current => choice - 1,
            _ => choice,
        };
        self.preemptions += usize::from(current.is_some_and(|current| current != next) && !is_yielding);
        Some(runnable[next].id())
    }

    fn next_u64(&mut self) -> u64 {
        panic!("models draw no random numbers: what may happen is done by a thread")
    }
}
