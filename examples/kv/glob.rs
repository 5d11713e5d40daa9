//! Patterns of KEYS, SCAN, PSUBSCRIBE and CONFIG GET. Pure.
//!
//! `*` is any bytes, `?` is one, `[a-z]` and `[^a-z]` are one of a set, `\` takes the next as it is.

/// Whether `pattern` matches all of `text`.
///
/// When the text goes on differently, only the last star may have to take more: what stands before it
/// has matched as early as it can. So it takes `pattern * text` steps at most, whoever wrote the pattern.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // After the last star, and the end of what it takes.
    let mut star = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            star = Some((p, t));
            continue;
        }
        let Some(&byte) = text.get(t) else { return p == pattern.len() };
        if let Some(length) = one(&pattern[p..], byte) {
            p += length;
            t += 1;
            continue;
        }
        let Some((after, taken)) = star else { return false };
        (p, t) = (after, taken + 1);
        star = Some((p, t));
    }
}

/// The length of the first element of `pattern`, if it stands for `byte`. It is no star.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', set @ ..] => {
            let (contains, length) = in_set(set, byte);
            contains.then_some(1 + length)
        }
        [b'\\', literal, ..] => (*literal == byte).then_some(2),
        [literal, ..] => (*literal == byte).then_some(1),
        [] => None,
    }
}

/// Whether `byte` is in the set, and where that ends: behind its `]`, or with the pattern.
fn in_set(set: &[u8], byte: u8) -> (bool, usize) {
    let negated = set.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut found = false;
    loop {
        at += match &set[at..] {
            [] => return (found != negated, at),
            [b']', ..] => return (found != negated, at + 1),
            [b'\\', literal, ..] => {
                found |= *literal == byte;
                2
            }
            [from, b'-', to, ..] => {
                found |= (*from.min(to)..=*from.max(to)).contains(&byte);
                3
            }
            [literal, ..] => {
                found |= *literal == byte;
                1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_kind_of_element() {
        for (pattern, yes, no) in [
            ("", &[""][..], &["a"][..]),
            ("*", &["", "a", "abc"], &[]),
            ("a*", &["a", "ab"], &["", "ba"]),
            ("*a", &["a", "aa", "baaa"], &["ab", ""]),
            ("a*b*c", &["abc", "axbxc", "abcbc"], &["ab", "acb"]),
            ("h?llo", &["hello", "hallo"], &["hllo", "heello"]),
            ("h[ae]llo", &["hello", "hallo"], &["hillo"]),
            ("h[^e]llo", &["hallo"], &["hello"]),
            ("h[a-c]llo", &["hallo", "hbllo"], &["hdllo"]),
            ("h[c-a]llo", &["hallo", "hbllo"], &["hdllo"]),
            ("[a\\]b]", &["a", "]", "b"], &["\\", "c"]),
            ("[abc", &["a", "c"], &["d", "["]),
            ("[]a", &[], &["]a", "a", "["]),
            ("[^]a", &["xa"], &["a"]),
            ("\\*", &["*"], &["a", "\\*"]),
            ("a\\", &["a\\"], &["a"]),
            ("*[a-", &["x-", "a"], &["b"]),
        ] {
            for text in yes {
                assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
            }
            for text in no {
                assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
            }
        }
    }

    #[test]
    fn many_stars_take_no_more_time() {
        let pattern = [b"a*".repeat(50).as_slice(), b"b"].concat();
        assert!(!matches(&pattern, &b"a".repeat(10_000)));
    }

    /// The same by its definition: a star takes nothing, or one byte and is still there.
    fn by_definition(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([b'*', rest @ ..], _) => {
                by_definition(rest, text)
                    || matches!(text, [_, after @ ..] if by_definition(pattern, after))
            }
            ([], _) => text.is_empty(),
            (_, []) => false,
            (_, [byte, after @ ..]) => {
                one(pattern, *byte).is_some_and(|length| by_definition(&pattern[length..], after))
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_its_definition(
            pattern in proptest::collection::vec(prop::sample::select(b"ab*?[]^-\\".to_vec()), 0..9),
            text in proptest::collection::vec(prop::sample::select(b"ab]^-".to_vec()), 0..9),
        ) {
            prop_assert_eq!(matches(&pattern, &text), by_definition(&pattern, &text));
        }
    }
}
