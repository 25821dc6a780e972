//! Values as Go's libraries read and write them: durations, sizes, ports, signals, booleans, quoted texts.

use super::error::{PlanErrorKind, value};

/// A list of texts as Go's `%q` shows it.
pub(super) fn quoted_list(words: &[String]) -> String {
    format!("[{}]", words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "))
}

/// A text as Go's `strconv.Quote` writes it.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if c.is_control() || (c.is_whitespace() && c != ' ') => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A boolean as Go's `strconv.ParseBool` reads it.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Nanoseconds of a duration as Go's `time.ParseDuration` reads it.
pub(super) fn duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let whole = rest.bytes().take_while(u8::is_ascii_digit).count();
        let mut number: i128 = if whole == 0 { 0 } else { rest[..whole].parse().ok()? };
        rest = &rest[whole..];
        let (mut fraction, mut scale) = (0i128, 1i128);
        let mut digits = 0;
        if let Some(behind) = rest.strip_prefix('.') {
            digits = behind.bytes().take_while(u8::is_ascii_digit).count();
            for digit in behind[..digits].bytes().take(18) {
                fraction = fraction * 10 + i128::from(digit - b'0');
                scale *= 10;
            }
            rest = &behind[digits..];
        }
        if whole == 0 && digits == 0 {
            return None;
        }
        let end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
        let unit: i128 = match &rest[..end] {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        number = number.checked_mul(unit)?;
        total = total.checked_add(number)?.checked_add(fraction * unit / scale)?;
        rest = &rest[end..];
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

/// Nanoseconds as Go shows a duration.
pub(super) fn show_duration(nanoseconds: i64) -> String {
    let trimmed = |whole: i64, fraction: i64, width: usize, unit: &str| {
        let digits = format!("{fraction:0width$}");
        let digits = digits.trim_end_matches('0');
        if digits.is_empty() { format!("{whole}{unit}") } else { format!("{whole}.{digits}{unit}") }
    };
    match nanoseconds {
        0 => "0s".to_owned(),
        n if n < 1_000 => format!("{n}ns"),
        n if n < 1_000_000 => trimmed(n / 1_000, n % 1_000, 3, "µs"),
        n if n < 1_000_000_000 => trimmed(n / 1_000_000, n % 1_000_000, 6, "ms"),
        n => {
            let seconds = n / 1_000_000_000;
            let rest = trimmed(seconds % 60, n % 1_000_000_000, 9, "s");
            match (seconds / 3600, seconds / 60 % 60) {
                (0, 0) => rest,
                (0, minutes) => format!("{minutes}m{rest}"),
                (hours, minutes) => format!("{hours}h{minutes}m{rest}"),
            }
        }
    }
}

/// Bytes of a size as `docker` reads it: units of 1,024, `b`, `k`, `kb`, `kib`, ….
pub(super) fn size(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    let unit = text[end..].strip_prefix(' ').unwrap_or(&text[end..]).to_ascii_lowercase();
    let power = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return None,
    };
    let bytes = number * 1024f64.powi(power);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Checked to be within the range.
    (0.0..9e18).contains(&bytes).then_some(bytes as u64)
}

/// The ports that a word of EXPOSE names, as `80/tcp`.
pub(super) fn ports(word: &str) -> Result<Vec<String>, PlanErrorKind> {
    let wrong = |wanted: &str| value("port", word, wanted);
    let parts: Vec<&str> = word.split(':').collect();
    let container = parts[parts.len() - 1];
    let host = if parts.len() > 1 { parts[parts.len() - 2] } else { "" };
    let address = if parts.len() > 2 { parts[..parts.len() - 2].join(":") } else { String::new() };
    let (range, protocol) = container.split_once('/').unwrap_or((container, ""));
    if range.is_empty() {
        return Err(wrong("no port specified"));
    }
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "" | "tcp" => "tcp",
        "udp" => "udp",
        "sctp" => "sctp",
        _ => return Err(wrong("the protocol can be tcp, udp or sctp")),
    };
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&address);
    if !bare.is_empty() && bare.parse::<std::net::IpAddr>().is_err() {
        return Err(wrong("invalid IP address"));
    }
    let wanted = "a port is a number up to 65535, or a range of them such as 8000-8010";
    let (first, last) = port_range(range).ok_or_else(|| wrong(wanted))?;
    if !host.is_empty() {
        let (host_first, host_last) = port_range(host).ok_or_else(|| wrong(wanted))?;
        if last - first != host_last - host_first && last != first {
            return Err(wrong("invalid ranges specified for container and host ports"));
        }
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn port_range(text: &str) -> Option<(u16, u16)> {
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u16>().ok()).flatten();
    let Some((first, last)) = text.split_once('-') else { return number(text).map(|port| (port, port)) };
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

const SIGNALS: &[&str] = &[
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
    "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1",
    "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
];

/// Whether it names a signal of Linux: by number or name, with or without `SIG`, in any case.
pub(super) fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<i64>() {
        return number != 0;
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = |prefix: &str, most: u32| {
        name.strip_prefix(prefix)
            .and_then(|rest| rest.parse::<u32>().ok().filter(|n| rest == n.to_string()))
            .is_some_and(|n| (1..=most).contains(&n))
    };
    SIGNALS.contains(&name) || real_time("RTMIN+", 15) || real_time("RTMAX-", 14)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        for (text, nanoseconds, shown) in [
            ("30s", 30_000_000_000, "30s"),
            ("1m30s", 90_000_000_000, "1m30s"),
            ("1.5h", 5_400_000_000_000, "1h30m0s"),
            ("100ms", 100_000_000, "100ms"),
            (".5s", 500_000_000, "500ms"),
            ("0", 0, "0s"),
        ] {
            assert_eq!(duration(text), Some(nanoseconds), "{text}");
            assert_eq!(show_duration(nanoseconds), shown);
        }
        for wrong in ["", "3", "s", "1x", ".s", "-", "99999999999h"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ports_are_ranges_with_protocols() {
        let all = |text| ports(text).map_err(|error| error.to_string());
        assert_eq!(all("80"), Ok(vec!["80/tcp".to_owned()]));
        assert_eq!(all("53-54/UDP"), Ok(vec!["53/udp".to_owned(), "54/udp".to_owned()]));
        assert_eq!(all("127.0.0.1:80:8080"), Ok(vec!["8080/tcp".to_owned()]));
        for wrong in ["65536", "80/foo", "9-8", "/tcp", "a", "x:1:2", "1-3:4-8"] {
            assert!(all(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_signals_and_quotes() {
        assert_eq!((size("64m"), size("1.5KiB"), size("10"), size("x")), (Some(64 << 20), Some(1536), Some(10), None));
        assert!(is_signal("SIGTERM") && is_signal("kill") && is_signal("9") && is_signal("SIGRTMIN+3"));
        assert!(!is_signal("SIGFOO") && !is_signal("0") && !is_signal(""));
        assert_eq!(quoted_list(&["a\"b".to_owned(), "c\n".to_owned()]), r#"["a\"b" "c\n"]"#);
    }
}
