//! What this machine is called: the names and addresses that its certificate is made for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `localhost`, the host's name, and every address that it has now, loopback included. Where the kernel does not tell,
/// some are missing.
pub fn host_names() -> Vec<String> {
    let mut names = vec!["localhost".to_owned()];
    names.extend(rustix::system::uname().nodename().to_str().ok().map(str::to_owned));
    let ipv4 = std::fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let ipv6 = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let addresses = local_ipv4(&ipv4).map(IpAddr::V4).chain(global_ipv6(&ipv6).map(IpAddr::V6));
    names.extend(loopback.into_iter().chain(addresses).map(|address| address.to_string()));
    names.retain(|name| is_host_name(name) || name.parse::<IpAddr>().is_ok());
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names.truncate(MAX_NAMES);
    names
}

/// Whether it can stand in a certificate and be looked up: letters, digits, `-` and `_` between dots, `*` as the first
/// label.
pub fn is_host_name(name: &str) -> bool {
    let rest = name.strip_prefix("*.").unwrap_or(name);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    // An IPv4 address has the form of a name, but is not one.
    name.len() <= 253 && rest.split('.').all(is_label) && rest.parse::<Ipv4Addr>().is_err()
}

/// The kernel's routing table names our own addresses `/32 host LOCAL`, in the line after the address.
fn local_ipv4(fib_trie: &str) -> impl Iterator<Item = Ipv4Addr> {
    let mut lines = fib_trie.lines().map(str::trim).peekable();
    std::iter::from_fn(move || {
        loop {
            let address = lines.next()?.strip_prefix("|-- ").and_then(|address| address.parse::<Ipv4Addr>().ok());
            if let Some(address) = address
                && lines.peek().is_some_and(|line| line.starts_with("/32 host LOCAL"))
            {
                return Some(address);
            }
        }
    })
}

/// One line for each address: 32 hexadecimal digits, the device's number, the prefix, the scope (00 is global).
fn global_ipv6(if_inet6: &str) -> impl Iterator<Item = Ipv6Addr> {
    if_inet6.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let bits = u128::from_str_radix(fields.next()?, 16).ok()?;
        (fields.nth(2)? == "00").then_some(Ipv6Addr::from_bits(bits))
    })
}

/// A machine with hundreds of addresses is asked to name its server itself: `cert issue --server NAME`.
const MAX_NAMES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_understood() {
        let fib_trie = "Main:
  +-- 0.0.0.0/0 3 0 5
     +-- 127.0.0.0/8 2 0 2
           |-- 127.0.0.0
              /8 host LOCAL
           |-- 127.0.0.1
              /32 host LOCAL
     +-- 192.0.2.0/24 2 0 2
           |-- 192.0.2.2
              /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
";
        assert_eq!(local_ipv4(fib_trie).map(|ip| ip.to_string()).collect::<Vec<_>>(), ["127.0.0.1", "192.0.2.2"]);
        let if_inet6 = "fd000000000000000000000000000002 04 40 00 82     eth0
00000000000000000000000000000001 01 80 10 80       lo
fe8000000000000000fc00fffe000001 04 40 20 80     eth0
";
        assert_eq!(global_ipv6(if_inet6).map(|ip| ip.to_string()).collect::<Vec<_>>(), ["fd00::2"]);
        assert_eq!(local_ipv4("nonsense\n|-- x\n").count() + global_ipv6("nonsense\n\n").count(), 0);
    }

    #[test]
    fn this_machine_is_called_localhost_at_least_and_nothing_twice() {
        let names = host_names();
        for name in ["localhost", "127.0.0.1", "::1"] {
            assert_eq!(names.iter().filter(|other| *other == name).count(), 1, "{names:?}");
        }
    }

    #[test]
    fn host_names_are_told_from_nonsense() {
        for name in ["localhost", "a", "broker.example.com", "*.example.com", "my_host", "1and1.example"] {
            assert!(is_host_name(name), "{name}");
        }
        let long = "a".repeat(64);
        for name in ["", ".", "a..b", "-a", "a-", "a b", "ä.example", "*", "a.*", "192.0.2.1", &long, "a\n", "a."] {
            assert!(!is_host_name(name), "{name:?}");
        }
    }
}
