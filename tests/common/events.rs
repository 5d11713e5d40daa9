//! The dashboard's stream of events, as its page has it.

use std::{fmt::Display, time::Instant};

use super::{
    DEADLINE,
    http::{Talks, read_head},
};

/// One reply that does not end, whose events are counted without a gap.
pub struct Stream<C> {
    client: C,
    last: Option<u64>,
}

impl<C: Talks> Stream<C> {
    /// On a connection to this address.
    pub fn open(mut client: C, address: &str) -> Stream<C> {
        client.says(&format!("GET /events HTTP/1.1\r\nHost: {address}\r\n\r\n"));
        let head = read_head(&mut client);
        assert_eq!(head.field("Content-Type"), Some("text/event-stream"));
        Stream { client, last: None }
    }

    /// The next event: its name and its data.
    pub fn next(&mut self) -> (String, String) {
        let size =
            usize::from_str_radix(&self.client.hears_line(), 16).expect("the size of a chunk");
        let chunk = String::from_utf8(self.client.hears(size)).expect("text");
        assert_eq!(self.client.hears_line(), "");
        let field = |name: &str| {
            let value = chunk.lines().find_map(|line| line.strip_prefix(name));
            value.unwrap_or_else(|| panic!("no {name} in {chunk}")).to_owned()
        };
        let id: u64 = field("id: ").parse().expect("a number");
        assert!(self.last.is_none_or(|last| id == last + 1), "{id} follows {:?}", self.last);
        self.last = Some(id);
        (field("event: "), field("data: "))
    }

    /// Reads on to an event of this name whose data `fits`, and answers the data.
    pub fn until(&mut self, name: &str, fits: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + DEADLINE;
        loop {
            let (event, data) = self.next();
            if event == name && fits(&data) {
                return data;
            }
            assert!(Instant::now() < until, "no {name} that fits; the last: {data}");
        }
    }

    /// Reads on until the newest generation is this one and serves; answers its picture.
    pub fn settled(&mut self, generation: u64) -> String {
        let newest = format!("{{\"number\":{generation},");
        self.until("picture", |data| {
            let of_newest = data.split("\"generations\":[").nth(1).unwrap_or_default();
            let line = of_newest.split('}').next().unwrap_or_default();
            of_newest.starts_with(&newest) && line.contains("\"phase\":\"serving\"")
        })
    }
}

/// How many clients were answered last by this generation; `0.1` is generation 1 of worker 0.
pub fn clients(picture: &str, generation: impl Display) -> usize {
    let list = picture.split_once("\"clients\":{").map_or("", |(_, rest)| rest);
    let list = list.split('}').next().unwrap_or_default();
    let Some((_, list)) = list.split_once(&format!("\"{generation}\":[")) else { return 0 };
    list.split(']').next().unwrap_or_default().split(',').count()
}
