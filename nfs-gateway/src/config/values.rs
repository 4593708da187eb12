//! Values of settings as people write them. An error text says what is allowed.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// A bucket and the place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BucketAddress {
    pub(crate) name: String,
    /// Without slashes at its ends; may be empty.
    pub(crate) prefix: String,
}

impl FromStr for BucketAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a bucket; give s3://NAME or s3://NAME/PREFIX");
        let rest = text.strip_prefix("s3://").ok_or_else(wrong)?;
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if name.is_empty()
            || !name.bytes().all(allowed)
            || prefix.starts_with('/')
            || prefix.contains("//")
            || prefix.contains(['?', '#'])
        {
            return Err(wrong());
        }
        Ok(BucketAddress { name: name.to_owned(), prefix: prefix.trim_matches('/').to_owned() })
    }
}

/// Reads an address and a port.
pub(crate) fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("`{text}` is not an address and a port; give one such as 127.0.0.1:2049, 0.0.0.0:2049 or [::1]:2049")
    })
}

/// Reads the address of an object store.
pub(crate) fn parse_endpoint(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    match host {
        Some(host) if !host.is_empty() && !host.starts_with('/') && !host.contains(char::is_whitespace) => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        _ => Err(format!("`{text}` is not a URL; give one such as http://127.0.0.1:9000")),
    }
}

/// A number of bytes, written as `64MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ByteSize(pub(crate) u64);

const UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a size; give a number of bytes or one such as 512KiB, 64MiB or 2GiB");
        let (digits, unit) = UNITS
            .iter()
            .find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))
            .unwrap_or((text, 1));
        let digits = digits.trim_end();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let count: u64 = digits.parse().map_err(|_| wrong())?;
        count.checked_mul(unit).map(ByteSize).ok_or_else(wrong)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, unit)| self.0 > 0 && self.0.is_multiple_of(*unit)) {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}B", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_parse_with_and_without_a_prefix() {
        for (text, name, prefix) in
            [("s3://pile", "pile", ""), ("s3://pile/", "pile", ""), ("s3://pile/a/b/", "pile", "a/b")]
        {
            let bucket: BucketAddress = text.parse().unwrap();
            assert_eq!((bucket.name.as_str(), bucket.prefix.as_str()), (name, prefix));
        }
        for wrong in ["pile", "s3://", "s3:///x", "http://pile", "s3://a b", "s3://pile//x"] {
            assert!(wrong.parse::<BucketAddress>().unwrap_err().contains("s3://NAME/PREFIX"), "{wrong}");
        }
    }

    #[test]
    fn sizes_parse_and_print() {
        for (text, bytes, printed) in [
            ("64MiB", 64 << 20, "64MiB"),
            ("1024", 1024, "1KiB"),
            ("3 GiB", 3 << 30, "3GiB"),
            ("7B", 7, "7B"),
        ] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!((size.0, size.to_string()), (bytes, printed.to_owned()));
        }
        for wrong in ["", "MiB", "64MB", "-1", "1.5GiB", "99999999999TiB"] {
            assert!(wrong.parse::<ByteSize>().unwrap_err().contains("64MiB"), "{wrong}");
        }
    }

    #[test]
    fn addresses_and_endpoints_say_what_is_allowed() {
        assert_eq!(parse_listen("[::1]:0").unwrap().port(), 0);
        for wrong in ["2049", "localhost:2049", "127.0.0.1", "127.0.0.1:70000"] {
            assert!(parse_listen(wrong).unwrap_err().contains("127.0.0.1:2049"), "{wrong}");
        }
        assert_eq!(parse_endpoint("http://127.0.0.1:9000/").unwrap(), "http://127.0.0.1:9000");
        assert!(parse_endpoint("127.0.0.1:9000").unwrap_err().contains("http://127.0.0.1:9000"));
    }

    #[test]
    fn an_endpoint_of_slashes_alone_has_no_host() {
        assert!(parse_endpoint("http:///").is_err() && parse_endpoint("https://///").is_err());
    }
}
