//! IP addresses and blocks of them.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// Reads an address or a CIDR block; an address is a block of one. An IPv4 address within IPv6 (`::ffff:10.0.0.1`) is
/// the IPv4 address, as for Kubernetes: another spelling is no way around a block. Bits beyond the prefix do not count.
pub(super) fn parse(text: &str) -> Option<IpNet> {
    let block = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse::<IpNet>().ok()?,
    };
    Some(canonical(block).trunc())
}

fn canonical(block: IpNet) -> IpNet {
    const MAPPED: u8 = 96;
    let IpNet::V6(six) = block else { return block };
    let four = six.addr().to_ipv4_mapped().zip(six.prefix_len().checked_sub(MAPPED));
    let four = four.and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok());
    four.map_or(block, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_blocks_of_one_and_blocks_have_no_bits_beyond_their_prefix() {
        for (text, block) in [
            ("10.1.2.3", "10.1.2.3/32"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("::1", "::1/128"),
            ("fd00::1/8", "fd00::/8"),
            ("::ffff:10.1.2.3", "10.1.2.3/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ] {
            assert_eq!(parse(text).map(|block| block.to_string()).as_deref(), Some(block), "{text}");
        }
        for text in
            ["", "10.0.0", "10.0.0.0/33", "010.0.0.1", "10.0.0.1-10.0.0.9", "host", "10.0.0.0/", " 10.0.0.1"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
