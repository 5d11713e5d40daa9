//! Whether a peer has heard what it was to hear. Pure.

use super::step::{Hearing, Normalise, Quoted};

/// How strictly a peer listens.
pub(super) struct Ear<'a> {
    /// What it may hear besides, at any place.
    pub extras: Vec<Vec<u8>>,
    /// A side was lost, and something with it: what was to be heard may be missing, piece by piece.
    pub loose: bool,
    /// It has lost its connection: it has heard the beginning, and there is no more.
    pub lost: bool,
    pub normalise: Option<Normalise>,
    /// What was promised and is to be kept.
    pub promised: Vec<&'a str>,
}

impl Ear<'_> {
    /// Answers which of `wanted` have been heard in full, or what is wrong.
    pub fn hear(&self, heard: &[u8], wanted: &[&Hearing]) -> Result<Vec<bool>, String> {
        let heard = self.normal(heard);
        let mut rest = heard.as_slice();
        let mut whole = Vec::new();
        for hearing in wanted {
            let keeps = hearing.keeps.as_deref();
            let must = !self.loose || keeps.is_some_and(|keeps| self.promised.contains(&keeps));
            let mut missing: Vec<_> =
                hearing.pieces.iter().map(|piece| self.normal(piece)).collect();
            while !missing.is_empty() && self.take_one(&mut rest, &mut missing) {}
            whole.push(missing.is_empty());
            if missing.is_empty() {
                continue;
            }
            if self.lost {
                let is_begun = missing.iter().any(|piece| piece.starts_with(rest));
                return if is_begun { Ok(whole) } else { Err(instead(rest, &missing)) };
            }
            if must {
                return Err(instead(rest, &missing));
            }
            let instead = hearing.instead.iter().map(|other| self.normal(other));
            self.take_one(&mut rest, &mut instead.collect());
        }
        self.skip_extras(&mut rest);
        match rest {
            [] => Ok(whole),
            rest => Err(format!("hears {}, and was to hear no more", Quoted(rest))),
        }
    }

    /// Takes one of `pieces`, the longest that fits, from what was heard.
    fn take_one(&self, rest: &mut &[u8], pieces: &mut Vec<Vec<u8>>) -> bool {
        let before = *rest;
        loop {
            let fits = pieces.iter().enumerate().filter(|(_, piece)| rest.starts_with(piece));
            if let Some(at) = fits.max_by_key(|(_, piece)| piece.len()).map(|(at, _)| at) {
                *rest = &rest[pieces.swap_remove(at).len()..];
                return true;
            }
            if !self.skip_extra(rest) {
                *rest = before;
                return false;
            }
        }
    }

    fn skip_extra(&self, rest: &mut &[u8]) -> bool {
        let extra = self.extras.iter().find(|extra| !extra.is_empty() && rest.starts_with(extra));
        extra.inspect(|extra| *rest = &rest[extra.len()..]).is_some()
    }

    fn skip_extras(&self, rest: &mut &[u8]) {
        while self.skip_extra(rest) {}
    }

    fn normal(&self, bytes: &[u8]) -> Vec<u8> {
        self.normalise.map_or_else(|| bytes.to_vec(), |normalise| normalise(bytes))
    }
}

fn instead(heard: &[u8], wanted: &[Vec<u8>]) -> String {
    let wanted: Vec<_> = wanted.iter().map(|piece| Quoted(piece).to_string()).collect();
    match heard {
        [] => format!("does not hear {}", wanted.join(" and ")),
        heard => format!("hears {} instead of {}", Quoted(heard), wanted.join(" and ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hearing(pieces: &[&str]) -> Hearing {
        let pieces = pieces.iter().map(|piece| piece.as_bytes().to_vec()).collect();
        Hearing { pieces, ..Hearing::default() }
    }

    fn strict() -> Ear<'static> {
        Ear { extras: vec![], loose: false, lost: false, normalise: None, promised: vec![] }
    }

    #[test]
    fn each_is_heard_in_its_turn_and_nothing_else() {
        let [one, two] = [hearing(&["one\n"]), hearing(&["two\n"])];
        let wanted = [&one, &two];
        assert_eq!(strict().hear(b"one\ntwo\n", &wanted), Ok(vec![true, true]));
        for (heard, why) in [
            ("two\none\n", r#"hears "two\none\n" instead of "one\n""#),
            ("one\n", r#"does not hear "two\n""#),
            ("one\ntwo\ntwo\n", r#"hears "two\n", and was to hear no more"#),
        ] {
            assert_eq!(strict().hear(heard.as_bytes(), &wanted), Err(why.to_owned()));
        }
    }

    #[test]
    fn several_pieces_come_in_any_order_and_each_once() {
        let any = hearing(&["a", "b", "ab"]);
        for heard in ["abab", "abba", "baab"] {
            assert_eq!(strict().hear(heard.as_bytes(), &[&any]), Ok(vec![true]), "{heard}");
        }
        assert!(strict().hear(b"aba", &[&any]).is_err());
    }

    #[test]
    fn who_has_lost_its_connection_has_heard_the_beginning() {
        let [one, two] = [hearing(&["one\n"]), hearing(&["two\n"])];
        let ear = Ear { lost: true, loose: true, ..strict() };
        for heard in ["", "on", "one\n", "one\nt", "one\ntwo\n"] {
            assert!(ear.hear(heard.as_bytes(), &[&one, &two]).is_ok(), "{heard}");
        }
        for heard in ["two\n", "one\none\n", "one\ntwo\n."] {
            assert!(ear.hear(heard.as_bytes(), &[&one, &two]).is_err(), "{heard}");
        }
    }

    #[test]
    fn after_a_loss_pieces_may_be_missing_but_for_what_was_promised() {
        let one = Hearing { keeps: Some("it".into()), ..hearing(&["one\n"]) };
        let two = Hearing { instead: vec![b"none\n".to_vec()], ..hearing(&["two\n"]) };
        let ear = Ear { loose: true, extras: vec![b"* left\n".to_vec()], ..strict() };
        for heard in ["", "two\n", "* left\nnone\n* left\n", "one\nnone\n"] {
            assert!(ear.hear(heard.as_bytes(), &[&one, &two]).is_ok(), "{heard}");
        }
        assert!(ear.hear(b"two\none\n", &[&one, &two]).is_err());
        let ear = Ear { promised: vec!["it"], ..ear };
        assert!(ear.hear(b"two\n", &[&one, &two]).is_err());
    }

    #[test]
    fn what_is_different_each_time_is_made_equal_first() {
        let ear = Ear {
            normalise: Some(|bytes| {
                bytes.iter().filter(|b| !b.is_ascii_digit()).copied().collect()
            }),
            ..strict()
        };
        assert_eq!(ear.hear(b"it is 12:30", &[&hearing(&["it is 9:07"])]), Ok(vec![true]));
    }
}
