//! What generations say to each other. Knows no state machine: what a message means is for others.
//!
//! `message` is what can be said, `wire` how it is written; `identity`, `report`, `alarm_word`, `socket_name`,
//! `forwarded`, `notice`, `rollback`, `talk`, `way_back` and `workplace` are parts of it.
//! `channel` carries messages with descriptors over a socket, `forward` datagrams from one generation to
//! another, `relay` what services tell each other.

mod alarm_word;
mod channel;
mod forward;
mod forwarded;
mod identity;
mod message;
mod notice;
mod relay;
mod report;
mod rollback;
mod socket_name;
mod talk;
mod way_back;
pub(crate) mod wire;
mod workplace;

pub(crate) use self::{
    alarm_word::AlarmWord,
    channel::{FDS_PER_MESSAGE, Fd, Link, LinkError, Parcel, listener_parcels},
    forward::ForwardQueue,
    forwarded::Forwarded,
    identity::Identity,
    message::Message,
    notice::Notice,
    relay::Relay,
    report::Report,
    rollback::Rollback,
    socket_name::SocketName,
    talk::Talk,
    way_back::WayBack,
};
