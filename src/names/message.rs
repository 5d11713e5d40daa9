//! A question to a name server, and what counts as an answer to it (RFC 1035, RFC 5452). Pure.

use std::{net::IpAddr, time::Duration};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{DNSClass, Name, RData, Record},
};

use super::host::Family;
use crate::limits::{NAME_ADDRESSES, NAME_ALIASES};

/// What one server is asked, once. It is answered by a message with this number and this very question.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// Nobody who does not see the question is to guess it.
    pub id: u16,
    pub name: Name,
    pub family: Family,
}

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Addresses(Vec<IpAddr>, Duration),
    /// The name does not exist; for how long that is certain, if that was said (RFC 2308).
    NoSuchName(Option<Duration>),
    /// It exists, and has no such address.
    NoAddress(Option<Duration>),
    /// There is more than a datagram holds: ask again, by TCP.
    Truncated,
    /// It cannot say.
    Failed(String),
}

impl Question {
    /// As it is sent in a datagram; by TCP its length goes ahead of it.
    pub fn encode(&self) -> Vec<u8> {
        let mut message = Message::new(self.id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(self.name.clone(), self.family.record()));
        message.to_vec().expect("a name that was read can be written")
    }

    /// What the bytes say to this question. `None`: they are no answer to it, whoever has sent them, and the
    /// true one may still come.
    pub fn answer(&self, bytes: &[u8]) -> Option<Answer> {
        let message = Message::from_vec(bytes).ok()?;
        let head = &message.metadata;
        let is_reply = head.message_type == MessageType::Response && head.op_code == OpCode::Query;
        let [query] = &message.queries[..] else { return None };
        let is_mine = query.name == self.name
            && query.query_type == self.family.record()
            && query.query_class == DNSClass::IN;
        if !is_reply || head.id != self.id || !is_mine {
            return None;
        }
        Some(match head.response_code {
            _ if head.truncation => Answer::Truncated,
            ResponseCode::NoError => self.addresses(&message),
            ResponseCode::NXDomain => Answer::NoSuchName(negative_ttl(&message)),
            code => Answer::Failed(code.to_str().to_owned()),
        })
    }

    /// Follows aliases from the name that was asked for; what is of another name is nobody's business.
    fn addresses(&self, message: &Message) -> Answer {
        let (mut owner, mut ttl) = (&self.name, u32::MAX);
        for _ in 0..=NAME_ALIASES {
            let of_owner =
                |record: &&Record| record.name == *owner && record.dns_class == DNSClass::IN;
            let mut addresses = Vec::new();
            let mut alias = None;
            for record in message.answers.iter().filter(of_owner) {
                let address: IpAddr = match (&record.data, self.family) {
                    (RData::A(address), Family::V4) => address.0.into(),
                    (RData::AAAA(address), Family::V6) => address.0.into(),
                    (RData::CNAME(name), _) => {
                        alias = alias.or(Some((&name.0, record.ttl)));
                        continue;
                    }
                    _ => continue,
                };
                ttl = ttl.min(record.ttl);
                if addresses.len() < NAME_ADDRESSES && !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            match alias {
                _ if !addresses.is_empty() => {
                    return Answer::Addresses(addresses, Duration::from_secs(ttl.into()));
                }
                Some((name, alias_ttl)) => (owner, ttl) = (name, ttl.min(alias_ttl)),
                None => return Answer::NoAddress(negative_ttl(message)),
            }
        }
        Answer::Failed(format!("more than {NAME_ALIASES} aliases"))
    }
}

/// For how long it is certain that there is nothing: RFC 2308, section 5.
fn negative_ttl(message: &Message) -> Option<Duration> {
    let seconds = message.authorities.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
        _ => None,
    });
    seconds.map(|seconds| Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::{A, AAAA, CNAME, SOA};
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).expect("a name")
    }

    fn question(family: Family) -> Question {
        Question { id: 7, name: name("db.example."), family }
    }

    /// An answer to it, made by `change` what it is.
    fn reply(question: &Question, change: impl FnOnce(&mut Message)) -> Option<Answer> {
        let mut message = Message::from_vec(&question.encode()).expect("a message");
        message.metadata.message_type = MessageType::Response;
        change(&mut message);
        question.answer(&message.to_vec().expect("it fits"))
    }

    fn a(owner: &str, ttl: u32, last: u8) -> Record {
        Record::from_rdata(name(owner), ttl, RData::A(A::new(10, 0, 0, last)))
    }

    fn alias(owner: &str, ttl: u32, target: &str) -> Record {
        Record::from_rdata(name(owner), ttl, RData::CNAME(CNAME(name(target))))
    }

    fn soa(ttl: u32, minimum: u32) -> Record {
        let soa = SOA::new(name("ns.example."), name("who.example."), 1, 2, 3, 4, minimum);
        Record::from_rdata(name("example."), ttl, RData::SOA(soa))
    }

    fn found(last: &[u8], seconds: u64) -> Option<Answer> {
        let addresses = last.iter().map(|&last| IpAddr::from([10, 0, 0, last]));
        Some(Answer::Addresses(addresses.collect(), Duration::from_secs(seconds)))
    }

    #[test]
    fn the_addresses_of_the_name_are_found_with_the_shortest_life() {
        let asked = question(Family::V4);
        let answer = reply(&asked, |message| {
            message.add_answer(a("db.example.", 60, 1));
            message.add_answer(a("DB.Example.", 30, 2));
            message.add_answer(a("other.example.", 1, 3));
            message.add_answer(a("db.example.", 90, 1));
        });
        assert_eq!(answer, found(&[1, 2], 30));
        let six = RData::AAAA(AAAA::new(0, 0, 0, 0, 0, 0, 0, 1));
        let six = Record::from_rdata(name("db.example."), 60, six);
        let answer = reply(&question(Family::V6), |message| {
            message.add_answer(a("db.example.", 60, 1));
            message.add_answer(six);
        });
        let loopback = vec!["::1".parse().unwrap()];
        assert_eq!(answer, Some(Answer::Addresses(loopback, Duration::from_secs(60))));
    }

    #[test]
    fn aliases_are_followed_in_any_order_up_to_a_bound() {
        let asked = question(Family::V4);
        let answer = reply(&asked, |message| {
            message.add_answer(a("c.example.", 60, 1));
            message.add_answer(alias("b.example.", 20, "c.example."));
            message.add_answer(alias("db.example.", 40, "b.example."));
        });
        assert_eq!(answer, found(&[1], 20));
        let answer = reply(&asked, |message| {
            message.add_answer(alias("db.example.", 40, "db.example."));
        });
        assert!(matches!(answer, Some(Answer::Failed(_))), "{answer:?}");
        let answer = reply(&asked, |message| {
            message.add_answer(alias("db.example.", 40, "nowhere.example."));
        });
        assert_eq!(answer, Some(Answer::NoAddress(None)));
    }

    #[test]
    fn there_is_nothing_for_as_long_as_was_said() {
        let asked = question(Family::V4);
        let answer = reply(&asked, |message| {
            message.metadata.response_code = ResponseCode::NXDomain;
            message.add_authority(soa(300, 60));
        });
        assert_eq!(answer, Some(Answer::NoSuchName(Some(Duration::from_secs(60)))));
        let answer = reply(&asked, |message| {
            message.add_authority(soa(30, 60));
        });
        assert_eq!(answer, Some(Answer::NoAddress(Some(Duration::from_secs(30)))));
        assert_eq!(reply(&asked, |_| {}), Some(Answer::NoAddress(None)));
    }

    #[test]
    fn a_server_may_fail_or_have_more_to_say() {
        let asked = question(Family::V4);
        for code in [ResponseCode::ServFail, ResponseCode::Refused, ResponseCode::NotImp] {
            let answer = reply(&asked, |message| message.metadata.response_code = code);
            assert_eq!(answer, Some(Answer::Failed(code.to_str().to_owned())));
        }
        let answer = reply(&asked, |message| {
            message.metadata.truncation = true;
            message.add_answer(a("db.example.", 60, 1));
        });
        assert_eq!(answer, Some(Answer::Truncated));
    }

    #[test]
    fn what_does_not_answer_this_question_is_no_answer() {
        let asked = question(Family::V4);
        let with = |change: fn(&mut Message)| {
            let change = |message: &mut Message| {
                message.add_answer(a("db.example.", 60, 1));
                change(message);
            };
            reply(&asked, change)
        };
        assert_eq!(with(|_| {}), found(&[1], 60));
        assert_eq!(with(|message| message.metadata.id = 8), None);
        assert_eq!(with(|message| message.metadata.message_type = MessageType::Query), None);
        assert_eq!(with(|message| message.metadata.op_code = OpCode::Status), None);
        assert_eq!(with(|message| message.queries.clear()), None);
        assert_eq!(with(|message| message.queries[0].name = name("x.example.")), None);
        assert_eq!(with(|message| message.queries[0].query_type = Family::V6.record()), None);
        assert_eq!(with(|message| message.queries[0].query_class = DNSClass::CH), None);
        assert_eq!(with(|message| message.queries.push(message.queries[0].clone())), None);
    }

    proptest! {
        #[test]
        fn random_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(question(Family::V4).answer(&bytes).is_none());
        }

        /// Bytes that go wrong on the way do no harm either, wherever they are.
        #[test]
        fn nor_does_an_answer_that_was_garbled(at in 0usize..100, byte: u8, cut in 0usize..100) {
            let asked = question(Family::V4);
            let mut message = Message::from_vec(&asked.encode()).expect("a message");
            message.metadata.message_type = MessageType::Response;
            message.add_answer(alias("db.example.", 40, "b.example."));
            message.add_answer(a("b.example.", 60, 1));
            let mut bytes = message.to_vec().expect("it fits");
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = asked.answer(&bytes);
            let _ = asked.answer(&bytes[..cut.min(bytes.len())]);
        }
    }
}
