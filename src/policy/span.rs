//! The time since and until an instant: the contract's measures `Age` and `Until`.

use crate::jsonpath::{Node, Tree};

use super::assertion::Complaint;
use super::clock::Clock;
use super::operator::Order;
use super::scale;

/// From which side the time is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sense {
    /// From the value to now.
    Age,
    /// From now to the value; negative when it is past.
    Until,
}

/// How long the time since or until a value must be.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) sense: Sense,
    pub(super) order: Order,
    /// Nanoseconds.
    pub(super) length: i128,
    pub(super) written: Tree,
}

impl Span {
    /// Whether it is so now; the clock notes when it will be otherwise.
    ///
    /// # Errors
    /// Why the value is no time.
    pub(super) fn judge(&self, value: Node<'_>, clock: &Clock) -> Result<bool, Complaint> {
        let Some(text) = value.as_str() else {
            return Err(Complaint::WrongType(value.kind(), "only strings can be times; guard with `type`"));
        };
        let time = scale::time(text)
            .ok_or(Complaint::Unreadable("a time in RFC 3339, such as 2027-03-31T00:00:00Z"))?;
        let time = time.as_nanosecond();
        let (edge, order) = match self.sense {
            Sense::Age => (time.saturating_add(self.length), self.order),
            Sense::Until => (time.saturating_sub(self.length), turned(self.order)),
        };
        // At the edge itself only one side of each order holds, so that two of them change a nanosecond later.
        clock.changes_at(match order {
            Order::AtLeast | Order::Below => edge,
            Order::Above | Order::AtMost => edge.saturating_add(1),
        });
        Ok(order.holds(clock.nanoseconds().cmp(&edge)))
    }
}

/// What must be true of now, where the time until a value must be as the order says.
fn turned(order: Order) -> Order {
    match order {
        Order::AtLeast => Order::AtMost,
        Order::AtMost => Order::AtLeast,
        Order::Above => Order::Below,
        Order::Below => Order::Above,
    }
}
