//! Why something was not done.

use std::fmt;

use crate::exit::Exit;

/// What went wrong, in one line, with what there is to do about it.
#[derive(Debug)]
pub struct Failure {
    pub kind: Kind,
    pub why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The server was asked and refused, or failed.
    Refused,
    /// Nobody listens at the control socket.
    Nobody,
    /// Whoever was asked has ended, or was replaced, before it had answered.
    CutOff,
    /// It says nothing for too long.
    Silent,
    /// The time that was given is over.
    Late,
    /// There is no server to wait for.
    Gone,
    /// It could not be asked for another reason, or what it says could not be shown.
    Other,
}

impl Failure {
    pub fn new(kind: Kind, why: impl Into<String>) -> Failure {
        Failure { kind, why: why.into() }
    }

    pub fn exit(&self) -> Exit {
        match self.kind {
            Kind::Refused => Exit::Refused,
            Kind::Late => Exit::Late,
            Kind::Gone => Exit::Gone,
            Kind::Nobody | Kind::CutOff | Kind::Silent | Kind::Other => Exit::Unasked,
        }
    }
}

impl<E: fmt::Display> From<E> for Failure {
    fn from(why: E) -> Failure {
        Failure::new(Kind::Other, why.to_string())
    }
}
