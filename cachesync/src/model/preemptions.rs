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
        let mut runnable: Vec<_> = runnable.iter().map(|task| task.id()).collect();
        let place = runnable.iter().position(|task| Some(*task) == current);
        match place {
            // Who asks to be interrupted is, for nothing; or a loop that waits would have schedules without end.
            Some(place) if is_yielding && runnable.len() > 1 => _ = runnable.remove(place),
            // Going on comes first.
            Some(place) => runnable[..=place].rotate_right(1),
            None => {}
        }
        let goes_on = place.is_some() && !is_yielding;
        let of = if goes_on && self.preemptions == self.limit { 1 } else { runnable.len() };
        if self.step == self.choices.len() {
            self.choices.push((0, of));
        }
        let (choice, known) = self.choices[self.step];
        assert_eq!(known, of, "a model has to do the same under the same schedule");
        self.step += 1;
        self.preemptions += usize::from(goes_on && choice > 0);
        Some(runnable[choice])
    }

    fn next_u64(&mut self) -> u64 {
        panic!("models draw no random numbers: what may happen is done by a thread")
    }
}
