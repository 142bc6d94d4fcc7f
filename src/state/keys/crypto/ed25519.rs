//! Ed25519's weak keys: points of small order. With one, signatures can be made up that fit any message, and the cipher
//! library checks for none (RFC 8032 section 5.1.7 does not ask for it).

/// Octets of a public key (RFC 8032 section 5.1.5).
pub(super) const PUBLIC_BYTES: usize = 32;

/// Every spelling of the points of order 1, 2, 4 and 8, without the sign of x: y = 1, -1, 0 and the two of order 8,
/// then y = p and p + 1, which libraries read as 0 and 1.
const SMALL_ORDER: [[u8; PUBLIC_BYTES]; 7] = [
    spelt(0x01, 0x00, 0x00),
    spelt(0xec, 0xff, 0x7f),
    spelt(0x00, 0x00, 0x00),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    spelt(0xed, 0xff, 0x7f),
    spelt(0xee, 0xff, 0x7f),
];

/// Whether `public` is a point of small order, in any spelling.
pub(super) fn is_weak(public: &[u8]) -> bool {
    let Some((last, rest)) = public.split_last() else { return false };
    let is = |point: &[u8; PUBLIC_BYTES]| rest == &point[..PUBLIC_BYTES - 1] && last & 0x7f == point[PUBLIC_BYTES - 1];
    SMALL_ORDER.iter().any(is)
}

const fn spelt(first: u8, middle: u8, last: u8) -> [u8; PUBLIC_BYTES] {
    let mut bytes = [middle; PUBLIC_BYTES];
    bytes[0] = first;
    bytes[PUBLIC_BYTES - 1] = last;
    bytes
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

    use super::*;

    /// Whether the cipher library takes a signature that nobody made: R is a point of small order too, and S is zero.
    fn can_be_forged(public: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, public);
        SMALL_ORDER.iter().any(|point| {
            let signature = [&point[..], &[0; 32]].concat();
            (0..64_u8).any(|message| key.verify(&[message], &signature).is_ok())
        })
    }

    #[test]
    fn keys_that_anybody_can_sign_for_are_weak() {
        for point in SMALL_ORDER {
            for sign in [0, 0x80] {
                let mut public = point;
                public[PUBLIC_BYTES - 1] |= sign;
                assert!(is_weak(&public), "{public:02x?}");
            }
        }
        // It is the library's business whether it reads the odd spellings; the canonical ones it does.
        assert!(SMALL_ORDER[..5].iter().all(|point| can_be_forged(point)));
    }

    #[test]
    fn a_key_that_somebody_made_is_none_of_them() {
        let pair = Ed25519KeyPair::generate().unwrap();
        let public = pair.public_key().as_ref();
        assert!(!is_weak(public) && !can_be_forged(public));
        assert!(!is_weak(&[]) && !is_weak(&[1]) && !is_weak(&[&SMALL_ORDER[0][..], &[0]].concat()));
    }
}
