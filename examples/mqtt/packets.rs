//! Packets of MQTT 3.1.1 (<https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/>), from bytes and to bytes. Pure.
//!
//! The crate `mqtt-proto` takes them apart: no input makes it panic (`packets_tests.rs` tries), while `mqttrs` reads
//! behind the end of a packet that is cut short. It gets whole packets only, so what it allocates is bounded.

use std::rc::Rc;

use mqtt_proto::{
    Encodable, Error, Pid, Protocol, QoS, QosPid,
    v3::{Connect, Header, Packet, PacketType, Publish, Suback, Subscribe, Unsubscribe},
};
use serde::{Deserialize, Serialize};

/// Of one packet, in bytes, with its header.
pub const MAX_PACKET: usize = 256 * 1024;

/// Levels of a topic, as mosquitto has it: each is a step of a recursion.
const MAX_LEVELS: usize = 201;

/// The first packet of `input` and its length, if all of it is there. What only servers say is an error.
pub fn next(input: &[u8]) -> Result<Option<(Packet, usize)>, Error> {
    let Some((start, end)) = lengths(input)? else { return Ok(None) };
    if end > MAX_PACKET {
        return Err(Error::InvalidRemainingLength);
    }
    let header = Header::new_with(input[0], (end - start) as u32, end as u32)?;
    let Some(frame) = input.get(..end) else { return Ok(None) };
    let mut at = start;
    let mut pid = || -> Result<Pid, Error> {
        at += 2;
        let bytes = frame[start..].first_chunk().ok_or(Error::InvalidRemainingLength)?;
        Pid::try_from(u16::from_be_bytes(*bytes))
    };
    let packet = match header.typ {
        PacketType::Puback => Packet::Puback(pid()?),
        PacketType::Pubrec => Packet::Pubrec(pid()?),
        PacketType::Pubrel => Packet::Pubrel(pid()?),
        PacketType::Pubcomp => Packet::Pubcomp(pid()?),
        PacketType::Pingreq => Packet::Pingreq,
        PacketType::Disconnect => Packet::Disconnect,
        PacketType::Publish => checked(Publish::decode(frame, &mut at, header)?)?.into(),
        PacketType::Connect => {
            acceptable(Connect::decode(frame, &mut at)?, &frame[start..])?.into()
        }
        PacketType::Subscribe => Subscribe::decode(frame, &mut at, header)?.into(),
        PacketType::Unsubscribe => Unsubscribe::decode(frame, &mut at, header)?.into(),
        _ => return Err(Error::InvalidHeader),
    };
    if at == end { Ok(Some((packet, end))) } else { Err(Error::InvalidRemainingLength) }
}

/// Where the first packet's body begins and ends, once its header is there.
fn lengths(input: &[u8]) -> Result<Option<(usize, usize)>, Error> {
    let mut body = 0;
    for (at, &byte) in input.iter().skip(1).take(4).enumerate() {
        body |= usize::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return Ok(Some((2 + at, 2 + at + body)));
        }
    }
    if input.len() > 4 { Err(Error::InvalidVarByteInt) } else { Ok(None) }
}

/// Refuses what the crate lets pass: a copy of what is sent once ([MQTT-3.3.1-2]), and a topic that is none.
fn checked(publish: Publish) -> Result<Publish, Error> {
    let is_copy = publish.dup && publish.qos_pid == QosPid::Level0;
    if is_copy || !is_topic(&publish.topic_name) { Err(Error::InvalidHeader) } else { Ok(publish) }
}

/// A CONNECT that would be written otherwise has flags without their fields; and see [MQTT-3.1.2-22].
fn acceptable(connect: Connect, body: &[u8]) -> Result<Connect, Error> {
    let mut again = Vec::with_capacity(body.len());
    connect.encode(&mut again)?;
    let password_alone = connect.password.is_some() && connect.username.is_none();
    let has_nul = connect.client_id.contains('\0')
        || connect.username.as_ref().is_some_and(|name| name.contains('\0'));
    let bad_will = connect.last_will.as_ref().is_some_and(|will| !is_topic(&will.topic_name));
    if again != body || password_alone || bad_will || has_nul {
        return Err(Error::InvalidHeader);
    }
    match connect.protocol {
        Protocol::V311 => Ok(connect),
        other => Err(Error::UnexpectedProtocol(other)),
    }
}

/// One that has an answer of its own.
pub fn is_other_version(error: &Error) -> bool {
    match error {
        Error::InvalidProtocol(name, _) => matches!(&**name, "MQTT" | "MQIsdp"),
        error => matches!(error, Error::UnexpectedProtocol(_)),
    }
}

/// Whether a name or a filter is there at all and has few enough levels.
pub fn is_topic(name: &str) -> bool {
    !name.is_empty() && name.bytes().filter(|&byte| byte == b'/').count() < MAX_LEVELS
}

/// A message with an acknowledgement, as all get it who do: they differ in the first byte and the packet id,
/// which stands between these two.
#[derive(Debug, Serialize, Deserialize)]
pub struct Message {
    /// The length of the packet, and the topic.
    #[serde(with = "serde_bytes")]
    pub head: Vec<u8>,
    pub payload: Rc<[u8]>,
}

impl Message {
    pub fn new(topic: &str, payload: &[u8]) -> Message {
        let mut head = Vec::new();
        put_head(&mut head, topic, 2 + payload.len());
        Message { head, payload: payload.into() }
    }
}

/// The crate would write a failure as 3, where the standard has 0x80.
pub fn suback(pid: Pid, codes: &[u8]) -> Vec<u8> {
    let packet = Packet::from(Suback::new(pid, vec![QoS::Level0.into(); codes.len()]));
    let mut bytes = packet.encode().expect("shorter than its SUBSCRIBE").as_ref().to_vec();
    let at = bytes.len() - codes.len();
    bytes[at..].copy_from_slice(codes);
    bytes
}

/// A message without an acknowledgement: the same bytes for all.
pub fn plain(topic: &str, payload: &[u8], retain: bool) -> Rc<[u8]> {
    let mut packet = vec![0x30 | u8::from(retain)];
    put_head(&mut packet, topic, payload.len());
    packet.extend_from_slice(payload);
    packet.into()
}

fn put_head(out: &mut Vec<u8>, topic: &str, behind: usize) {
    let mut length = 2 + topic.len() + behind;
    out.reserve(6 + length);
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(&(topic.len() as u16).to_be_bytes());
    out.extend_from_slice(topic.as_bytes());
}

#[cfg(test)]
#[path = "packets_tests.rs"]
mod tests;
