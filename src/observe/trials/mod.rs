//! The whole of observing against an API server in the process, under paused time: [`server`] is that server, with
//! faults on demand, [`world`] all that runs against it; [`edits`] and [`faults`] are what they go through.

mod edits;
mod faults;
mod server;
mod world;
