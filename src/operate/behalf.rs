//! For whom a supervisor of several workers asks one of them: it passes on what a process has asked of it, by a signal or as an
//! operator, and the journal is to name that one. Words in front of a request; knows no socket.

use crate::{
    cause::{Asker, Cause},
    system::{process::name_of, signal::Sender, signal_set::Signal},
};

/// Who has asked, and by which signal, if it was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Behalf {
    pub pid: u32,
    pub uid: u32,
    pub signal: Option<i32>,
}

impl Behalf {
    /// Of whoever has sent a signal; of the terminal nobody knows who.
    pub fn of_sender(sender: Sender, signal: Signal) -> Option<Behalf> {
        match sender {
            Sender::Terminal => None,
            Sender::Process { pid, uid, .. } => {
                Some(Behalf { pid, uid, signal: Some(signal.number()) })
            }
        }
    }

    /// The request, as it is passed on.
    pub fn pass_on(&self, request: &str) -> String {
        let Behalf { pid, uid, signal } = self;
        match signal {
            Some(number) => format!("for {pid} {uid} signal {number} {request}"),
            None => format!("for {pid} {uid} {request}"),
        }
    }

    /// Reads it in front of a request, and answers what is behind it.
    pub fn read(line: &str) -> Option<(Behalf, &str)> {
        let (pid, rest) = line.strip_prefix("for ")?.split_once(' ')?;
        let (uid, rest) = rest.split_once(' ')?;
        let (pid, uid) = (pid.parse().ok()?, uid.parse().ok()?);
        let signal = rest.strip_prefix("signal ").and_then(|rest| rest.split_once(' '));
        match signal {
            Some((number, rest)) => {
                let signal = Some(number.parse().ok()?);
                Some((Behalf { pid, uid, signal }, rest))
            }
            None => Some((Behalf { pid, uid, signal: None }, rest)),
        }
    }

    pub fn sender(&self) -> Sender {
        Sender::Process { pid: self.pid, uid: self.uid, word: 0 }
    }

    /// As the journal has it.
    pub fn cause(&self) -> Cause {
        let Behalf { pid, uid, signal } = *self;
        let by = Asker { pid, uid, program: name_of(pid) };
        match signal {
            Some(number) => Cause::Signal { name: Signal::of(number).to_string(), by: Some(by) },
            None => Cause::Operator(by),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_passed_on_is_read_as_it_was() {
        for signal in [None, Some(1)] {
            let behalf = Behalf { pid: 7, uid: 1000, signal };
            let line = behalf.pass_on("restart fork move");
            assert_eq!(Behalf::read(&line), Some((behalf, "restart fork move")));
        }
        for other in ["restart", "for 7 restart", "for 7 x restart", "for 7 1000 signal x stop"] {
            assert_eq!(Behalf::read(other), None, "{other}");
        }
    }
}
