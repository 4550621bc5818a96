//! How urgent a key of a work queue is: a label of its series.

/// What made a key one to be processed, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// The object changed, or time changed its verdict: somebody may be waiting for the answer.
    LiveChange,
    /// A policy that concerns it changed.
    PolicyChange,
    /// A list showed it.
    InitialList,
    /// Nothing changed, as far as is known.
    Resync,
}

impl Priority {
    /// Every priority, the most urgent first.
    pub const ALL: [Self; 4] = [Self::LiveChange, Self::PolicyChange, Self::InitialList, Self::Resync];

    /// The label value: a number, as controller-runtime has them, which lists at -100 too.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LiveChange => "0",
            Self::PolicyChange => "-50",
            Self::InitialList => "-100",
            Self::Resync => "-150",
        }
    }
}

/// One value for each priority.
#[derive(Clone, Debug, Default)]
pub struct PerPriority<T> {
    live_change: T,
    policy_change: T,
    initial_list: T,
    resync: T,
}

impl<T> PerPriority<T> {
    /// Makes each value.
    pub fn new(mut make: impl FnMut(Priority) -> T) -> Self {
        Self {
            live_change: make(Priority::LiveChange),
            policy_change: make(Priority::PolicyChange),
            initial_list: make(Priority::InitialList),
            resync: make(Priority::Resync),
        }
    }

    /// The value of a priority.
    pub fn of(&self, priority: Priority) -> &T {
        match priority {
            Priority::LiveChange => &self.live_change,
            Priority::PolicyChange => &self.policy_change,
            Priority::InitialList => &self.initial_list,
            Priority::Resync => &self.resync,
        }
    }

    /// The value of a priority, to be changed.
    pub fn of_mut(&mut self, priority: Priority) -> &mut T {
        match priority {
            Priority::LiveChange => &mut self.live_change,
            Priority::PolicyChange => &mut self.policy_change,
            Priority::InitialList => &mut self.initial_list,
            Priority::Resync => &mut self.resync,
        }
    }
}
