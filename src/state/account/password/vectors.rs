//! Hashes of other systems. `PASSWORD` was hashed by the systems' own code, once: Django 5.2.19, passlib 1.7.4,
//! Python's bcrypt 5.0.0, argon2-cffi 25.1.0 and Werkzeug 3.1.9. Others are published by the authors of the format: the
//! source stands beside them.

use super::{
    foreign::{Encoding, Foreign, Reading},
    rule::Rule,
    *,
};
use crate::domain::{PrincipalId, Secret, secret::SecretBytes};

const PASSWORD: &str = "contraseña";

/// Each with its name and its slow or fast kind, by a letter.
const OF_PASSWORD: &[(&str, char, &str)] = &[
    // Django 5.2.19.
    ("pbkdf2-sha256", 's', "pbkdf2_sha256$1000$seasalt2$8ksRmRj+tlQYW+qzl23qIMcLgfwmBKsSvTQ0wnNFIag="),
    ("pbkdf2-sha1", 's', "pbkdf2_sha1$1000$seasalt2$7nZkzNUp6MOPCjFjLpcd3PRYoC0="),
    ("argon2id", 's', "argon2$argon2id$v=19$m=1024,t=1,p=2$c2Vhc2FsdDI$PZt7iTVFHMPCv6Qwd+eodg7QEfQR7oSXPxsmFZ8mMDs"),
    ("bcrypt-sha256", 's', "bcrypt_sha256$$2b$04$1NqsKUhGTRk6knwTmIRUGemYCaIysqo9AEoi7iNAnIBNE4f0pLVE."),
    ("bcrypt", 's', "bcrypt$$2b$04$lIZzpWGVWw2nOs4e1hmsh.nC8QJNHjSQLiC9IRaGDeU1TVsYGbft2"),
    (
        "scrypt",
        's',
        "scrypt$1024$seasalt2$8$5$JU59e9/NM8B+Cv20YO5sqH6PlvoW3UWCgJY1PQRHSOFDHgQWl3zg+GeJx5vdw/hUq8eLW5GEVbL8YHwsawLr9g==",
    ),
    ("md5", 'f', "md5$seasalt2$5f3e603dd619bf6fa8dd22bad10c7c77"),
    // bcrypt 5.0.0.
    ("bcrypt", 's', "$2b$04$eXDbV0X9O8NQeOJGgCPTBeeHi8D3EwaFM8RZ9Pj29QKFD1AcpF8HG"),
    ("bcrypt", 's', "$2a$04$bDe8KsctB.E8ULuPiwzb9uKJDpdbuoIbi6/mF7f0ZGcyZCnH05mVW"),
    // bcrypt 5.0.0 over what `wp_hash_password` of WordPress 6.8 gives it.
    ("bcrypt-wordpress", 's', "$wp$2y$04$.A2233EdSwSGIGtjgNLioORVywXLx4frSTpLZKq7zpKsGhEm4FwUG"),
    // passlib 1.7.4.
    ("phpass", 'f', "$P$5ibCLnSTr5bowcRenoNP2syFDVHDAS0"),
    ("phpass", 'f', "$H$5cOE62n5UzzZOMXdKFpSdzIMNx.odd."),
    ("sha256-crypt", 's', "$5$rounds=1000$Pb8E0fNr5xpo7WFG$z8A9lGV4R6TA0J/uIRI95mnXbpy2zWBiH07vzs3HYo9"),
    ("sha256-crypt", 's', "$5$RTZrm7PcT1Hkh/aW$tufACECMQxBdcDlJJRUyZgnz510GSKo8jlFKZJ0uiQ/"),
    (
        "sha512-crypt",
        's',
        "$6$rounds=1000$iglDSWbmvLqlddOS$NxngskneWqLOuhQPRgpgDu37VpxZT23cUHs0E7ugmPJXP6o7j0WkDrIg7V2//3InHA9U.GT21c2QDxnKbBGeh1",
    ),
    (
        "sha512-crypt",
        's',
        "{CRYPT}$6$rounds=1000$6CwqtjKt3NiQKBfq$Ifg9dsidtYMNGZz5vAxIyJFdJmRAIBiLxMc0AC.dWP8vp82A3D5focq3aKr.8FXKJqVPrXIrXNN5TndzoQBNM.",
    ),
    ("sha1", 'f', "{SSHA}ljS9jp7MIBtzpWqi/GpjTmDbKI8v5ZxT"),
    ("md5", 'f', "{SMD5}Ub6MugQhkzIXQ7LhSAQRVkHofa8="),
    ("sha1", 'f', "{SHA}jDG2W97NyfGLaV1zGBhv0f7taQ0="),
    ("md5", 'f', "{MD5}TIgtyyS8sbwiU5GmAv7KfA=="),
    ("sha256", 'f', "{SSHA256}nok/nn/o2ysKoZ8XUU+iDkqNJEmkbaZDITC6RBZyPE5iLOVcay2FsA=="),
    (
        "sha512",
        'f',
        "{SSHA512}VJDQ3PF+g7ztb3knwrYpbBvEdPnJSuV822v6+4+Ts5ZUucT1vjcjrIWZmre+XxYrZ+IGt+nBUEBpsMW+WIUZYqu1FgIgROj9",
    ),
    ("pbkdf2-sha1", 's', "$pbkdf2$1000$AEAopbTWmjMGQMiZ0/q/Vw$nzxKvKa7mDheuNaTr1zW.yTfTWs"),
    ("pbkdf2-sha256", 's', "$pbkdf2-sha256$1000$ZwyhdC5lbI3RunfuPScE4A$mrQq/7a8G2TEv4cozkR0zvX5IRQJ0ZKzDsAo4qtSVII"),
    (
        "pbkdf2-sha512",
        's',
        "$pbkdf2-sha512$1000$ACCklFKqdU7p/X.v9d5bCw$7gxIHeyXs.qH6DzRQUDR8pvLrUrVzfH0migZAou/PiywdWrkflz/NHhXjqCC3m92sDEoXkL37gzLAw15umPqlw",
    ),
    ("pbkdf2-sha256", 's', "{PBKDF2-SHA256}1000$TQkBQEhJKSUkREipNYYQog$Hl4F0z6xaJyke2GxWeDEmjm.r6kRkG/mCDa6L8AW2Fk"),
    ("scrypt", 's', "$scrypt$ln=10,r=8,p=1$yXlvTcn5X0sJYQzhvLfWug$ChsLWaevrB/b5p+o5FORpaZnDe6TGPQ0bUMNH2s+NQA"),
    ("sha1", 'f', "sha1$nieIULd91vK8$1766b7d3335f24c9de985cef29abf7d7465afe61"),
    ("pbkdf2-sha1", 's', "{PKCS5S2}2nuP0dr7fw8BICQEQGiNcWCHtMT2zBu00zruSItoGUsLFd3cJBVNonszv1zvbYqZ"),
    // argon2-cffi 25.1.0.
    (
        "argon2id",
        's',
        "$argon2id$v=19$m=1024,t=1,p=1$gJlVOlfUGwGnGtnXVyNvOg$hr0tmTKWaxnVKqEigziV89olUhmGDujWBeAwNEddi/8",
    ),
    ("argon2i", 's', "$argon2i$v=19$m=1024,t=1,p=1$zaOUca0NAA/fkHdpSXqhAA$iq/QtPnu2P3WIi2BEx6zzYA5Vgy3DQgdiom6R5yZAiY"),
    ("argon2d", 's', "$argon2d$v=19$m=1024,t=1,p=1$K+a4EDGeIFLfJApH2voSMA$bIKNVCciQBiJmZZ1Vc9YjMNVj5G6nZ0k+wtSpz0qHJQ"),
    // Werkzeug 3.1.9.
    (
        "pbkdf2-sha256",
        's',
        "pbkdf2:sha256:1000$4U4mkCCG7slz3blX$df55962e6037169833cbd765273338efcdce30c9616c73e5eeb2ee0ffe4b4065",
    ),
    (
        "scrypt",
        's',
        "scrypt:1024:8:1$FKj1ysF3GjMjfmOu$4576aca054580867ca034b533c2584ac0866ff550ead8f671d1ddbca517adfb5bb326fd4b726e3e74f140833c1d4032cb6eaaf9c09445ad88e84481e2171c9fc",
    ),
    ("clear", 'f', "{noop}contraseña"),
    // OpenSSL 3: `openssl passwd -1` and `-apr1`.
    ("md5-crypt", 'f', "$1$seasalt2$0XwgyNdDHcHl9hZk9PpDN."),
    ("md5-crypt", 'f', "{CRYPT}$1$a$KLB2PRmNkAthmw0i4yLsH1"),
    ("apr1", 'f', "$apr1$seasalt2$wt1pAuhSBO2RLPShSCbQq0"),
    // passlib 1.7.4.
    ("md5-crypt", 'f', "$1$Pb8E0fNr$hLsXawKmP1rbIJ2bLy1ET."),
    ("apr1", 'f', "$apr1$Hkh/aW$Gli3P1W.yY3zUbDHhh9AJ."),
    ("md4", 'f', "{NT}305a42a96d4df77c1f0434f63a28239a"),
];

/// Published ones, each with its password.
const PUBLISHED: &[(&str, &str, &str)] = &[
    // dotnet/aspnetcore, src/Identity/test/Identity.Test/PasswordHasherTest.cs.
    ("pbkdf2-sha1", "my password", "AAABAgMEBQYHCAkKCwwNDg+ukCEMDf0yyQ29NYubggHIVY0sdEUfdyeM+E1LtH1uJg=="),
    ("pbkdf2-sha1", "my password", "AQAAAAAAAAD6AAAAEAhftMyfTJylOlZT+eEotFXd1elee8ih5WsjXaR3PA9M"),
    ("pbkdf2-sha512", "my password", "AQAAAAIAAAAyAAAAEOMwvh3+FZxqkdMBz2ekgGhwQ4B6pZWND6zgESBuWiHw"),
    (
        "pbkdf2-sha512",
        "my password",
        "AQAAAAIAAAD6AAAAIJbVi5wbMR+htSfFp8fTw8N8GOS/Sje+S/4YZcgBfU7EQuqv4OkVYmc4VJl9AGZzmRTxSkP7LtVi9IWyUxX8IAAfZ8v+ZfhjCcudtC1YERSqE1OEdXLW9VukPuJWBBjLuw==",
    ),
    (
        "pbkdf2-sha512",
        "my password",
        "AQAAAAIAACcQAAAAEAABAgMEBQYHCAkKCwwNDg9B0Oxwty+PGIDSp95gcCfzeDvA4sGapUIUov8usXfD6A==",
    ),
    // passlib 1.7.4, of a password that is longer than MD5's block.
    (
        "md5-crypt",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "$1$Pb8E0fNr$RmVvOeCYBQV.wREOgp1ou.",
    ),
    // MS-NLMP section 4.2.2.1.2, and Eric Glass, «The NTLM Authentication Protocol».
    ("md4", "Password", "{NT}A4F49C406510BDCAB6824EE7C30FD852"),
    ("md4", "SecREt01", "{NT}cd06ca7c7e10c99b1d33b7485a2ed808"),
    // Samba and passlib document this NT hash of «password».
    ("md4", "password", "{NT}8846F7EAEE8FB117AD06BDD830B7586C"),
    // The manual of Spring Security, «Password Storage».
    ("bcrypt", "password", "{bcrypt}$2a$10$dXJ3SW6G7P50lGmMkkmwe.20cQQubK3.HZWzG3YB1tlRy.fqvM/BG"),
    ("clear", "password", "{noop}password"),
    (
        "pbkdf2-sha1",
        "password",
        "{pbkdf2}5d923b44a6d129f3ddf3e3c8d29412723dcbde72445e8ef6bf3b508fbf17fa4ed4d6b99ca763d8dc",
    ),
    (
        "scrypt",
        "password",
        "{scrypt}$e0801$8bWJaSu2IKSn9Z9kM+TPXfOc/9bdYSrN1oD9qfVThWEwdRTnO7re7Ei+fUZRJ68k9lTyuTeUp4of4g24hHnazw==$OAOec05+bXxvuu/1qZ6NUR+xQYvYv7BeL1QxwRpY5Pc=",
    ),
    ("sha256", "password", "{sha256}97cde38028ad898ebc02e690819fa220e88c62e0699403e94fff291cfffaf8410849f27605abcbc0"),
    // firebase/scrypt, README.md, with the parameters of its project.
    (
        "firebase-scrypt",
        "user1password",
        "$firescrypt$ln=14,r=8,p=1$42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==$Bw==$jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==",
    ),
    // The manual of PHP, `password_verify`.
    ("bcrypt", "rasmuslerdorf", "$2y$07$BCryptRequires22Chrcte/VlQH0piJtjXl.0t1XkA8pw9dMXTpOq"),
    // hashcat's example of mode 7900.
    ("drupal-sha512", "hashcat", "$S$C33783772bRXEx1aCsvY.dqgaaSu76XmVlKrW9Qu8IQlvxHlmzLf"),
];

fn read(hash: &str) -> Foreign {
    Foreign::read(hash, None, &Reading::default()).unwrap_or_else(|error| panic!("{hash}: {error}"))
}

fn refusal(hash: &str) -> String {
    Foreign::read(hash, None, &Reading::default()).unwrap_err().to_string()
}

/// What the store would have.
fn kept(hash: &Foreign, key: &PasswordKey) -> (PrincipalId, PasswordHash) {
    let account = PrincipalId::generate();
    (account, to_stored(hash, account, key))
}

fn key() -> PasswordKey {
    PasswordKey::new(&[7; PASSWORD_KEY_BYTES])
}

#[test]
fn a_right_password_matches_and_others_do_not_before_and_after_the_store() {
    let of_password = OF_PASSWORD.iter().map(|(name, _, hash)| (*name, PASSWORD, *hash));
    for (name, password, text) in of_password.chain(PUBLISHED.iter().copied()) {
        let hash = read(text);
        assert_eq!(hash.name(), name, "{text}");
        assert!(hash.verify(&password.into()), "{text}");
        for wrong in [format!("{password}x"), password.to_uppercase(), format!("x{password}")] {
            assert!(!hash.verify(&Secret::new(wrong)), "{text}");
        }
        let (account, stored) = kept(&hash, &key());
        let check = stored.open(account, Some(&key())).unwrap();
        assert!(verify(&password.into(), Some(&check)), "{text}");
        assert!(!verify(&"wrong".into(), Some(&check)), "{text}");
        let word = stored.text()[1..].split('$').next().unwrap();
        assert_eq!(format_of(word), name, "{text}");
        assert!(needs_rehash(&stored), "{text}");
    }
}

#[test]
fn what_is_quickly_tried_is_never_kept_as_it_is() {
    for (name, kind, text) in OF_PASSWORD {
        let hash = read(text);
        let (account, stored) = kept(&hash, &key());
        assert_eq!(matches!(hash, Foreign::Fast(_)), *kind == 'f', "{text}");
        assert_eq!(stored.needs_key(), *kind == 'f', "{text}");
        if !stored.is_sealed() {
            assert_eq!(stored.wrap(account, &key()), Ok(None));
            continue;
        }
        // It opens under its key, for its account, unchanged.
        assert!(stored.open(account, None).is_err());
        assert!(stored.open(PrincipalId::generate(), Some(&key())).is_err());
        assert!(stored.open(account, Some(&PasswordKey::new(&[8; PASSWORD_KEY_BYTES]))).is_err());
        let wrapped = stored.wrap(account, &key()).unwrap().unwrap();
        assert!(!wrapped.is_sealed());
        assert_eq!(wrapped.needs_key(), *name != "clear", "{text}");
        assert_eq!(needs_rehash(&wrapped), *name != "clear", "a clear password is an argon2id hash then");
        let check = wrapped.open(account, Some(&key())).unwrap();
        assert!(verify(&PASSWORD.into(), Some(&check)), "{text}");
        assert!(!verify(&"wrong".into(), Some(&check)), "{text}");
    }
}

/// Made by Python's bcrypt 5.0.0; `truncated` is what versions before 5 and PHP made of a longer one.
#[test]
fn bcrypt_takes_72_bytes_and_a_zero_byte_as_any_other() {
    for (hash, bytes) in [
        ("$2b$04$TohyfpB/QHo7t5NwrlAGf.QVCU/D6H3F9X76igl4PkbO2mkasl2SO", 71),
        ("$2a$04$V/e5jnArVWwYc.DDERhSvu/soHaIJQx6NV4QNLhblMhhqXqneiO9m", 71),
        ("$2b$04$zP6e5lcYTQ/4qrm864ZvM.r/2fe3QGPt/VFseHNjnC3VjqruTsHNK", 72),
        ("$2a$04$jnLV.MY/3V2hp9z1HjuxM.GvIoaTQieJns/.eIBao2PRfYqRPnItC", 72),
    ] {
        let hash = read(hash);
        let matches = |bytes: usize| hash.verify(&Secret::new("a".repeat(bytes)));
        assert!(matches(bytes) && !matches(bytes - 1), "{bytes}");
        assert_eq!(matches(bytes + 1), bytes == 72, "what comes after 72 bytes does not matter");
        assert_eq!(matches(1000), bytes == 72);
    }
    for hash in [
        "$2b$04$NeMSNLY8d9jfCRXIX5wd8.Tgl4FpZA91TJwtivnHJmRPbiB98gGeK",
        "$2a$04$NDQ//LC317Qmh2ykw5o/CeCi.fFaBCy.fSCWeE/0wr0byzPC50OXO",
    ] {
        assert!(read(hash).verify(&"a\0b".into()));
        assert!(!read(hash).verify(&"a".into()));
        assert!(!read(hash).verify(&"a\0c".into()));
    }
}

#[test]
fn an_empty_password_never_matches() {
    // Python's bcrypt and passlib made these of one.
    for hash in [
        "$2b$04$SlsuPaBz95Zi9csQtRd3d.ZseJP.yybdepfkszkymzXjjvGEmeT2W",
        "$5$rounds=1000$QARY8D19v8G98Gy1$AEMn/C381y77T2xgVXPw3jWkiRKvL6xW3ZO//aHM5a3",
    ] {
        let hash = read(hash);
        assert!(hash.verify(&"".into()));
        let (account, stored) = kept(&hash, &key());
        assert!(!verify(&"".into(), Some(&stored.open(account, None).unwrap())), "no login sends one");
    }
}

#[test]
fn a_password_is_its_utf8_and_a_system_that_took_latin_1_needs_a_new_one() {
    let latin_1 = read("$2b$04$hzdBP2u4A5H2ldEFTUkgFu7V7XyFsVCfbhrXCErTq/97HicUk/ol2");
    assert!(!latin_1.verify(&PASSWORD.into()));
    // Composed or not: the bytes count, as they did there.
    assert!(!read(OF_PASSWORD[7].2).verify(&"contrasen\u{303}a".into()));
}

#[test]
fn digests_are_read_by_the_operators_rule() {
    let reading = |rule: &str, digests, salts, pepper: &[u8]| Reading {
        rule: Some(Rule::parse(rule).unwrap()),
        digests,
        salts,
        pepper: SecretBytes::new(pepper.to_vec()),
    };
    // hashlib of Python, as in the rules' own tests.
    let sha1 = "jDG2W97NyfGLaV1zGBhv0f7taQ0=";
    let cases = [
        (sha1, None, reading("sha1(password)", Encoding::Base64, Encoding::Text, b"")),
        (
            "8c31b65bdecdc9f18b695d7318186fd1feed690d",
            None,
            reading("sha1(password)", Encoding::Hex, Encoding::Text, b""),
        ),
        (
            "1766b7d3335f24c9de985cef29abf7d7465afe61",
            Some("nieIULd91vK8"),
            reading("sha1(salt + password)", Encoding::Hex, Encoding::Text, b""),
        ),
        (
            "1766b7d3335f24c9de985cef29abf7d7465afe61",
            Some("6e6965494c4c"),
            reading("sha1(salt + pepper + password)", Encoding::Hex, Encoding::Hex, b""),
        ),
        (
            "1766B7D3335F24C9DE985CEF29ABF7D7465AFE61",
            Some("bmllSQ=="),
            reading("sha1(salt + pepper + password)", Encoding::Hex, Encoding::Base64, b"ULd91vK8"),
        ),
    ];
    for (at, (hash, salt, reading)) in cases.iter().enumerate() {
        let read = Foreign::read(hash, *salt, reading).unwrap();
        assert_eq!(read.verify(&PASSWORD.into()), at != 3, "{at}");
        assert!(!read.verify(&"wrong".into()));
    }
    let said = |hash, salt, rule| {
        Foreign::read(hash, salt, &reading(rule, Encoding::Hex, Encoding::Text, b"")).unwrap_err().to_string()
    };
    assert!(said("8c31", None, "sha1(password)").contains("the digest has 2 bytes, and the rule makes 20"));
    assert!(said("no digits", None, "sha1(password)").contains("--hash-encoding"));
    assert!(said("8c31", None, "sha1(salt + password)").contains("no column 'salt'"));
    assert!(said("8c31", Some("x"), "sha1(password)").contains("the rule has none"));
}

#[test]
fn costs_above_the_limits_are_refused_with_both_numbers() {
    for (hash, said) in [
        ("$2b$15$eXDbV0X9O8NQeOJGgCPTBeeHi8D3EwaFM8RZ9Pj29QKFD1AcpF8HG", "bcrypt cost of 15 is above 14"),
        ("pbkdf2_sha256$2000001$seasalt2$8ksRmRj+tlQYW+qzl23qIMcLgfwmBKsSvTQ0wnNFIag=", "2000001 is above 2000000"),
        (
            "$scrypt$ln=17,r=9,p=1$yXlvTcn5X0sJYQzhvLfWug$ChsLWaevrB/b5p+o5FORpaZnDe6TGPQ0bUMNH2s+NQA",
            "147456 KiB is above 131072 KiB",
        ),
        ("$scrypt$ln=17,r=8,p=5$yXlvTcn5X0sJYQzhvLfWug$ChsLWaevrB/b5p+o5FORpaZnDe6TGPQ0bUMNH2s+NQA", "scrypt work"),
        (
            "$argon2id$v=19$m=131073,t=1,p=1$gJlVOlfUGwGnGtnXVyNvOg$hr0tmTKWaxnVKqEigziV89olUhmGDujWBeAwNEddi/8",
            "131073 KiB is above",
        ),
        (
            "$argon2id$v=19$m=131072,t=9,p=1$gJlVOlfUGwGnGtnXVyNvOg$hr0tmTKWaxnVKqEigziV89olUhmGDujWBeAwNEddi/8",
            "memory times passes",
        ),
        (
            "$6$rounds=1000001$iglDSWbmvLqlddOS$NxngskneWqLOuhQPRgpgDu37VpxZT23cUHs0E7ugmPJXP6o7j0WkDrIg7V2//3InHA9U.GT21c2QDxnKbBGeh1",
            "rounds of crypt(3)",
        ),
        ("$S$L33783772bRXEx1aCsvY.dqgaaSu76XmVlKrW9Qu8IQlvxHlmzLf", "phpass's rounds"),
    ] {
        let refused = refusal(hash);
        assert!(refused.contains(said), "{hash}: {refused}");
    }
}

#[test]
fn what_is_no_hash_is_refused_and_never_repeated() {
    for (hash, said) in [
        ("", "no hash that Portero knows"),
        ("hunter2", "no hash that Portero knows"),
        ("$2x$04$eXDbV0X9O8NQeOJGgCPTBeeHi8D3EwaFM8RZ9Pj29QKFD1AcpF8HG", "faulty"),
        ("$2b$04$eXDbV0X9O8NQeOJGgCPTBeeHi8D3EwaFM8RZ9Pj29QKFD1AcpF8H", "60 characters"),
        ("$2b$04$éXDbV0X9O8NQeOJGgCPTBeeHi8D3EwaFM8RZ9Pj29QKFD1AcpF8H", "no bcrypt hash"),
        (
            "$argon2id$v=19$m=1024,t=1,p=1,data=AAAA$gJlVOlfUGwGnGtnXVyNvOg$hr0tmTKWaxnVKqEigziV89olUhmGDujWBeAwNEddi/8",
            "with data that are not in it",
        ),
        ("$1$salt$qJH7.N4xYta3aEG/dfqo/", "MD5-crypt"),
        ("$1$ninechars$qJH7.N4xYta3aEG/dfqo/0", "at most eight characters"),
        ("$apr1$qJH7.N4xYta3aEG/dfqo/0", "at most eight characters"),
        ("abNANd1rDfiNc", "the DES crypt"),
        ("{CRYPT}abNANd1rDfiNc", "the DES crypt"),
        ("{LM}e52cac67419a9a224a3b108f3fa6cb6d", "LM hashes"),
        ("{NT}305a42a96d4df77c1f0434f63a28239", "32 hexadecimal digits"),
        ("{NT}305a42a96d4df77c1f0434f63a2823", "the digest has 15 bytes"),
        ("$9$x$y", "no hash that Portero knows"),
        ("$$", "no hash that Portero knows"),
        ("4c882dcb24bcb1bc225391a602feca7c", "--rule"),
        ("!ZQ8x", "without a usable password"),
        ("{x}y", "no hash that Portero knows"),
        ("{ldap}{ldap}{SSHA}ljS9jp7MIBtzpWqi/GpjTmDbKI8v5ZxT", "no hash that Portero knows"),
        ("{SSHA}jDG2W97NyfGLaV1zGBhv0f7taQ0=", "the digest and the salt"),
        ("{SHA}ljS9jp7MIBtzpWqi/GpjTmDbKI8v5ZxT", "the digest and the salt"),
        ("md5$seasalt2$5f3e603dd619bf6fa8dd22bad10c7c7", "Django or Werkzeug"),
        ("pbkdf2_sha256$x$seasalt2$8ksR", "Django or Werkzeug"),
        ("pbkdf2_sha256$1000$seasalt2$8ksR", "cut"),
        (" $2b$04$eXDbV0X9O8NQeOJGgCPTBeeHi8D3EwaFM8RZ9Pj29QKFD1AcpF8HG", "white space"),
        // dotnet/aspnetcore: too short, and with more at the end.
        ("AAABAgMEBQYHCAkKCwwNDg+ukCEMDf0yyQ29NYubggE=", "no hash that Portero knows"),
        ("$firescrypt$ln=14,r=8,p=1$42xEC+ixf3L2lw==$lSrf$Bw==$jxsp", "as long as"),
    ] {
        let refused = refusal(hash);
        assert!(refused.contains(said), "{hash}: {refused}");
        assert!(hash.len() < 8 || !refused.contains(hash), "{refused}");
    }
    assert!(refusal(&"$".repeat(3000)).contains("2048"));
    let salted = Foreign::read("{noop}x", Some("salt"), &Reading::default()).unwrap_err();
    assert!(salted.to_string().contains("salt in itself"));
}

#[test]
fn a_mark_tells_an_old_hash_from_another_and_accounts_apart() {
    let (ana, eva) = (PrincipalId::generate(), PrincipalId::generate());
    let hashes = [read(OF_PASSWORD[0].2), read("{noop}contraseña"), read("{SSHA}ljS9jp7MIBtzpWqi/GpjTmDbKI8v5ZxT")];
    let marks: std::collections::HashSet<_> =
        [ana, eva].iter().flat_map(|account| hashes.iter().map(|hash| key().mark(*account, hash))).collect();
    assert_eq!(marks.len(), 6);
    assert!(marks.contains(&key().mark(ana, &read(OF_PASSWORD[0].2))));
}
