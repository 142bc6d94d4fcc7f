"""Signatures as JWS wants them."""

import unittest

from tokens import b64, raw_ecdsa


class Signatures(unittest.TestCase):
    def test_numbers_of_ecdsa_have_32_octets_whatever_der_says(self) -> None:
        # One with the zero that DER puts before a high bit, and one that is short.
        der = bytes([0x30, 0x26, 0x02, 0x21, 0x00, *[0xFF] * 32, 0x02, 0x01, 0x07])
        self.assertEqual(raw_ecdsa(der), b"\xff" * 32 + b"\0" * 31 + b"\x07")

    def test_base64url_has_no_padding(self) -> None:
        self.assertEqual(b64(b"\xfb\xff"), "-_8")
