//! How much may be kept: of one object, of one watch, and of all watches together.
//!
//! Whoever may create objects decides how many there are and how large they are, and needs no right on policies for
//! that. So what they can make the process keep has an end, and past it a target says that it does not see everything.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Objects of one watch.
    pub objects: usize,
    /// Bytes of one watch.
    pub bytes: usize,
    /// Bytes of one object.
    pub document_bytes: usize,
    /// Bytes of all watches together.
    pub total_bytes: usize,
    /// How many resources may be watched: a part of the bytes of all is for those that keep little.
    pub targets: usize,
}

/// The part of the common room in which every target has an even share, and that nobody takes who keeps more.
const RESERVED: usize = 4;

impl Default for Limits {
    fn default() -> Self {
        Self {
            objects: 150_000,
            bytes: 96 << 20,
            document_bytes: 256 << 10,
            total_bytes: 192 << 20,
            targets: 200,
        }
    }
}

/// The bound that something is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    /// There are more objects than this.
    Objects(usize),
    /// A watch takes more bytes than this.
    Bytes(usize),
    /// All watches together take more bytes than this.
    Total(usize),
    /// What is read of one object takes more bytes than this.
    Document(usize),
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Objects(most) => write!(
                f,
                "there are more than {most} objects, and no more are judged: raise --max-objects-per-target, or let \
                 the policies name namespaces"
            ),
            Self::Bytes(most) => write!(
                f,
                "what policies read of its objects takes more than {most} bytes, and no more is kept: raise \
                 --max-bytes-per-target and the memory of the operator, or let the policies read less"
            ),
            Self::Total(most) => write!(
                f,
                "what policies read of all objects takes more than {most} bytes, and no more is kept of large targets: \
                 raise --max-cached-bytes and the memory of the operator, or let the policies read less"
            ),
            Self::Document(most) => write!(
                f,
                "what policies read of the object takes more than {most} bytes: make it smaller, raise \
                 --max-document-bytes, or let the policies read less of it"
            ),
        }
    }
}

/// The bounds, and what all shelves together have taken.
#[derive(Debug, Default)]
pub struct Room {
    /// The bounds.
    pub limits: Limits,
    taken: AtomicUsize,
}

impl Room {
    /// Nothing is taken of it.
    pub fn new(limits: Limits) -> Self {
        Self { limits, taken: AtomicUsize::new(0) }
    }

    pub(super) fn take(&self, bytes: usize) {
        self.taken.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes of all shelves.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// The bound that a shelf of `bytes` passes when it grows by `more`. Shelves that grow at the same moment can pass
    /// the common one by a document each.
    pub(super) fn refuses(&self, bytes: usize, more: usize) -> Option<Exceeded> {
        let Limits { bytes: most, total_bytes, targets, .. } = self.limits;
        if bytes + more > most {
            return Some(Exceeded::Bytes(most));
        }
        let reserved = total_bytes / RESERVED;
        let is_small = bytes + more <= reserved / targets.max(1);
        let most_of_all = if is_small { total_bytes } else { total_bytes - reserved };
        (self.taken() + more > most_of_all).then_some(Exceeded::Total(most_of_all))
    }
}
