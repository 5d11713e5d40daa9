//! What a client can ask. Pure.

use heirloom::Result;

/// The longest name or id.
const WORD: usize = 64;

#[derive(Debug, PartialEq, Eq)]
pub struct Posting {
    pub id: String,
    pub source: String,
    pub target: String,
    pub amount: i64,
}

pub enum Request {
    Post(Posting),
    Balance(String),
    Total,
}

impl Request {
    pub fn parse(line: &[u8]) -> Result<Request> {
        let line = std::str::from_utf8(line).map_err(|_| "not UTF-8")?;
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        if words.iter().any(|word| word.len() > WORD) {
            return Err("a word of more than 64 bytes".into());
        }
        match words[..] {
            ["post", source, target, amount, id] => {
                let amount = amount.parse::<u32>().ok().filter(|&amount| amount > 0);
                Ok(Request::Post(Posting {
                    id: id.to_owned(),
                    source: source.to_owned(),
                    target: target.to_owned(),
                    amount: amount.ok_or("the amount is a number from 1 to 4294967295")?.into(),
                }))
            }
            ["balance", name] => Ok(Request::Balance(name.to_owned())),
            ["total"] => Ok(Request::Total),
            _ => Err("ask `post FROM TO AMOUNT ID`, `balance NAME` or `total`".into()),
        }
    }
}
