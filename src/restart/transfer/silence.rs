//! What of a connection's timeouts goes along, as fields of its [record](super::record). An older program writes none
//! of them: the connection then has the timeouts of the new one. Pure.

use std::time::Duration;

use crate::{
    restart::link::wire::{
        self, Malformed, from_micros, micros, put, put_number, put_numbered, put_time,
    },
    timeouts::{Direction, Timeouts},
};

/// The silence so far, and what is the connection's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Silence {
    /// Time since a byte came; an older program does not say.
    pub read: Option<Duration>,
    /// Which listener it has come by, as it knows it.
    pub listener: u16,
    pub own: Option<Timeouts>,
    /// How long each silence has counted at the most.
    pub counted: [Option<Duration>; 3],
    /// How long a first message could have been heard, if not from the beginning.
    pub first: Option<Duration>,
}

// Tags are never given a second meaning; these are 30 to 36 of those of a record.
const READ: u16 = 30;
const LISTENER: u16 = 31;
const OWN: u16 = 32;
const COUNTED: u16 = 33;
const FIRST: u16 = 34;

/// A limit that is none.
const NEVER: u64 = u64::MAX;

impl Silence {
    /// Appends its fields. What is not there takes no place.
    pub fn encode(&self, out: &mut Vec<u8>) {
        if let Some(read) = self.read {
            put_time(out, READ, read);
        }
        if self.listener != 0 {
            put_number(out, LISTENER, self.listener.into());
        }
        if let Some(own) = &self.own {
            put(out, OWN, &to_bytes(own));
        }
        for (direction, counted) in self.counted.iter().enumerate() {
            if let Some(counted) = counted {
                put_numbered(out, COUNTED, direction as u64, &micros(*counted).to_le_bytes());
            }
        }
        if let Some(first) = self.first {
            put_time(out, FIRST, first);
        }
    }

    /// Takes one field; others are skipped.
    pub fn set(&mut self, tag: u16, value: &[u8]) -> Result<(), Malformed> {
        match tag {
            READ => self.read = Some(time(value)?),
            LISTENER => self.listener = u16::try_from(number(value)?).unwrap_or(0),
            OWN => self.own = Some(from_bytes(value)?),
            COUNTED => {
                let malformed = Malformed::Field("silence");
                let (direction, counted) = value.split_at_checked(8).ok_or(malformed)?;
                let direction = usize::try_from(number(direction)?).unwrap_or(usize::MAX);
                if let Some(place) = self.counted.get_mut(direction) {
                    *place = Some(time(counted)?);
                }
            }
            FIRST => self.first = Some(time(value)?),
            _ => {}
        }
        Ok(())
    }
}

/// Each as microseconds, in this order. A later program may append others.
fn to_bytes(timeouts: &Timeouts) -> Vec<u8> {
    let limits = [
        timeouts.read_idle,
        timeouts.write_idle,
        timeouts.all_idle,
        timeouts.first_message,
        timeouts.write_stall,
        Some(timeouts.close),
        Some(timeouts.handshake), // of a STARTTLS that is to come
    ];
    limits.iter().flat_map(|limit| limit.map_or(NEVER, micros).to_le_bytes()).collect()
}

/// What is missing has its default.
fn from_bytes(bytes: &[u8]) -> Result<Timeouts, Malformed> {
    let (numbers, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(Malformed::Field("timeouts"));
    }
    let mut own = Timeouts::new();
    for (place, number) in numbers.iter().enumerate() {
        let number = u64::from_le_bytes(*number);
        let limit = Some(number).filter(|&number| number != NEVER).map(from_micros);
        own = match place {
            0..3 => {
                own.set_idle(Direction::EACH[place], limit);
                own
            }
            3 => own.first_message(limit),
            4 => own.write_stall(limit),
            5 => own.close(limit.unwrap_or(own.close)),
            6 => own.handshake_within(limit.unwrap_or(own.handshake)),
            _ => own,
        };
    }
    Ok(own)
}

fn number(value: &[u8]) -> Result<u64, Malformed> {
    wire::number(value, "number in a record")
}

fn time(value: &[u8]) -> Result<Duration, Malformed> {
    number(value).map(from_micros)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::{option, prelude::*};

    fn any_time() -> impl Strategy<Value = Duration> {
        (1u64 << 10..1 << 40).prop_map(Duration::from_micros)
    }

    prop_compose! {
        fn any_timeouts()(
            limits in prop::array::uniform5(option::of(any_time())), close in any_time(), handshake in any_time(),
        ) -> Timeouts {
            let [read, write, all, first, stall] = limits;
            let idle = Timeouts::new().read_idle(read).write_idle(write).all_idle(all);
            idle.first_message(first).write_stall(stall).close(close).handshake_within(handshake)
        }
    }

    prop_compose! {
        pub fn any_silence()(
            read in option::of(any_time()), listener: u16, own in option::of(any_timeouts()),
            counted in prop::array::uniform3(option::of(any_time())), first in option::of(any_time()),
        ) -> Silence {
            Silence { read, listener, own, counted, first }
        }
    }

    #[test]
    fn timeouts_of_a_later_program_are_read_as_far_as_they_are_known() {
        let own = Timeouts::new().read_idle(Duration::from_secs(90)).write_stall(None);
        let mut bytes = to_bytes(&own);
        bytes.extend(7u64.to_le_bytes());
        assert_eq!(from_bytes(&bytes), Ok(own));
        assert_eq!(from_bytes(&bytes[..8]), Ok(own.write_stall(Timeouts::new().write_stall)));
        assert!(from_bytes(&bytes[..9]).is_err());
    }
}
