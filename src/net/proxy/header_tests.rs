//! Headers as proxies send them, cut anywhere, and whatever else may come.

use proptest::prelude::*;

use super::*;
use crate::limits::PROXY_HEADER;

/// A header of version 2: command, family and protocol, addresses and fields.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([0x20 | command, family]);
    header.extend((rest.len() as u16).to_be_bytes());
    header.extend(rest);
    header
}

const V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x34, 0, 80];

fn addresses(client: &str, destination: &str) -> Option<(SocketAddr, SocketAddr)> {
    Some((client.parse().expect("an address"), destination.parse().expect("an address")))
}

/// Headers with what they say.
fn good() -> Vec<(Vec<u8>, Header)> {
    let says = |addresses| Header { addresses, ..Header::default() };
    let v4 = addresses("192.0.2.1:4660", "198.51.100.2:80");
    let v6 = addresses("[2001:db8::1]:65535", "[::1]:0");
    let mut v6_bytes = vec![0x20, 0x01, 0x0d, 0xb8];
    v6_bytes.extend([0; 11]);
    v6_bytes.push(1);
    v6_bytes.extend([0; 15]);
    v6_bytes.extend([1, 0xff, 0xff, 0, 0]);
    let fields = b"\x02\0\x03a.b\x05\0\x01x";
    let longest = format!("PROXY UNKNOWN {0} {0} 65535 65535\r\n", "ffff:".repeat(7) + "ffff");
    vec![
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 4660 80\r\n".to_vec(), says(v4)),
        (b"PROXY TCP6 2001:db8::1 ::1 65535 0\r\n".to_vec(), says(v6)),
        (b"PROXY UNKNOWN\r\n".to_vec(), says(None)),
        (longest.into_bytes(), says(None)),
        (binary(1, 0x11, &V4), says(v4)),
        (binary(1, 0x21, &v6_bytes), says(v6)),
        (
            binary(1, 0x11, &[&V4[..], fields].concat()),
            Header { addresses: v4, tlvs: fields[..].into() },
        ),
        (binary(0, 0x11, &[&V4[..], fields].concat()), says(None)), // a proxy that looks whether we are there
        (binary(0, 0, b""), says(None)),
        (binary(1, 0, b"\xee\0\0"), Header { addresses: None, tlvs: b"\xee\0\0"[..].into() }),
        (binary(1, 0x12, &V4), says(None)),       // of a datagram
        (binary(1, 0x31, &[7; 216]), says(None)), // of a path
    ]
}

#[test]
fn a_header_says_what_it_says_wherever_it_is_cut_and_whatever_follows() {
    for (header, says) in good() {
        for cut in 0..header.len() {
            assert_eq!(read(&header[..cut]), Ok(None), "{cut} bytes of {header:?}");
        }
        for behind in [&b""[..], b"GET /", b"\r\n", b"PROXY UNKNOWN\r\n", &[0xff; 300]] {
            let input = [&header[..], behind].concat();
            assert_eq!(read(&input), Ok(Some((says.clone(), header.len()))), "{input:?}");
        }
    }
}

#[test]
fn what_is_no_header_is_refused_as_soon_as_that_is_certain() {
    let mut too_long = binary(1, 0x11, &V4);
    too_long[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
    for (input, why) in [
        (b"GET / HTTP/1.1\r\n".to_vec(), "it begins with something else"),
        (b"P\n".to_vec(), "it begins with something else"),
        (b"\r\n\r\n\0\r\nQUIX".to_vec(), "it begins with something else"),
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 4660\r\n".to_vec(), "its line is malformed"),
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 4660 65536\r\n".to_vec(), "its line is malformed"),
        (b"PROXY TCP4 ::1 ::1 1 1\r\n".to_vec(), "its line is malformed"),
        (b"PROXY UDP4 192.0.2.1 198.51.100.2 1 1\r\n".to_vec(), "its line is malformed"),
        ([b"PROXY ".to_vec(), vec![b'1'; 101]].concat(), "its line does not end"),
        (binary(2, 0x11, &V4), "it is malformed"),
        (binary(1, 0x41, &V4), "it is malformed"),
        (binary(1, 0x11, &V4[..11]), "it is malformed"),
        (too_long[..16].to_vec(), "it is too long"),
        ("PROXY TCP4 \r\u{e4}\r\n".as_bytes().to_vec(), "its line is malformed"),
    ] {
        assert_eq!(read(&input), Err(why), "{}", String::from_utf8_lossy(&input));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Nothing panics, and a header that is whole stays what it is when more comes.
    #[test]
    fn random_bytes_do_no_harm(
        which in 0usize..4, bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0usize..300, byte: u8,
    ) {
        let mut input = match which {
            0 => bytes.clone(),
            1 => [b"PROXY ", &bytes[..]].concat(),
            2 => [&b"\r\n\r\n\0\r\nQUIT\n"[..], &bytes].concat(),
            _ => {
                let (header, _) = &good()[at % good().len()];
                let mut input = [&header[..], &bytes].concat();
                let place = at % input.len();
                input[place] = byte;
                input
            }
        };
        let first = read(&input);
        if let Ok(Some((_, length))) = &first {
            prop_assert!(*length <= input.len() && *length <= PROXY_HEADER);
        }
        input.extend(bytes);
        if !matches!(first, Ok(None)) {
            prop_assert_eq!(read(&input), first);
        }
    }
}
