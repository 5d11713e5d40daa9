//! Sums of numbers with a point in them, for INCRBYFLOAT. Pure.
//!
//! Redis adds in 80 bits, of which Rust knows nothing, and shows 17 places. So many places are added here as
//! decimals, where 0.1 and 0.2 are 0.3; what is too large for that, or too fine, is added in 64 bits.

const PLACES: i32 = 17;

const NOT_A_FLOAT: &str = "ERR value is not a valid float";
const NO_NUMBER: &str = "ERR increment would produce NaN or Infinity";

/// The sum of two numbers, as text.
///
/// # Errors
/// When one is none, or the sum is.
pub fn sum(one: &[u8], other: &[u8]) -> Result<String, &'static str> {
    let floats = (float(one).ok_or(NOT_A_FLOAT)?, float(other).ok_or(NOT_A_FLOAT)?);
    let exact = decimal(one).zip(decimal(other)).and_then(|(one, other)| one.checked_add(other));
    if let Some(sum) = exact {
        let unit = 10u128.pow(PLACES as u32);
        let sign = if sum < 0 { "-" } else { "" };
        let (whole, part) = (sum.unsigned_abs() / unit, sum.unsigned_abs() % unit);
        return Ok(trimmed(format!("{sign}{whole}.{part:0width$}", width = PLACES as usize)));
    }
    let sum = floats.0 + floats.1;
    if !sum.is_finite() {
        return Err(NO_NUMBER);
    }
    let text = trimmed(format!("{sum:.width$}", width = PLACES as usize));
    Ok(if text == "-0" { "0".to_owned() } else { text })
}

/// What C's `strtold` takes as a whole, but for numbers in base 16.
fn float(text: &[u8]) -> Option<f64> {
    let number: f64 = str::from_utf8(text).ok()?.parse().ok()?;
    Some(number).filter(|number| !number.is_nan())
}

/// A number in units of the last place, if it is a whole number of them. It is a number.
fn decimal(text: &[u8]) -> Option<i128> {
    let text = str::from_utf8(text).ok()?;
    let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let part = part.trim_end_matches('0');
    let shift = exponent.parse::<i32>().ok()?.checked_add(PLACES)?;
    let shift = shift.checked_sub(i32::try_from(part.len()).ok()?)?;
    let mantissa: i128 = format!("{whole}{part}").parse().ok()?;
    match u32::try_from(shift) {
        Ok(shift) => mantissa.checked_mul(10i128.checked_pow(shift)?),
        Err(_) if mantissa == 0 => Some(0),
        Err(_) => None,
    }
}

/// Without the zeros at the end.
fn trimmed(text: String) -> String {
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sums_are_as_redis_writes_them() {
        for (one, other, expected) in [
            ("0.1", "0.2", "0.3"),
            ("10.50", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("3", "-3.0", "0"),
            ("-0.5", "0.25", "-0.25"),
            ("17179869184", "1.5", "17179869185.5"),
            ("1.7e308", "0", &format!("{:.0}", 1.7e308)),
            ("1e-30", "0", "0"),
            ("-1e-30", "0", "0"),
            ("+1", ".5", "1.5"),
            ("0", "-0", "0"),
        ] {
            assert_eq!(sum(one.as_bytes(), other.as_bytes()).as_deref(), Ok(expected), "{one}");
        }
        for text in ["", " 1", "1 ", "1\0", "x", "nan", "1.5x", "e5", "--1"] {
            assert_eq!(sum(text.as_bytes(), b"0"), Err(NOT_A_FLOAT), "{text:?}");
        }
        for (one, other) in [("0", "inf"), ("-infinity", "1"), ("1.7e308", "1.7e308")] {
            assert_eq!(sum(one.as_bytes(), other.as_bytes()), Err(NO_NUMBER), "{one} {other}");
        }
    }

    proptest! {
        #[test]
        fn hundredths_are_added_exactly(one in -1_000_000_000i64..1_000_000_000, other in -1_000_000i64..1_000_000) {
            let text = |number: i64| {
                let sign = if number < 0 { "-" } else { "" };
                format!("{sign}{}.{:02}", number.abs() / 100, number.abs() % 100)
            };
            let found = sum(text(one).as_bytes(), text(other).as_bytes()).unwrap();
            let expected = text(one + other);
            prop_assert_eq!(found, expected.trim_end_matches('0').trim_end_matches('.').to_owned());
        }
    }
}
