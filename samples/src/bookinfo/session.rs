//! Who is signed in: a cookie `user=NAME`, the one that early tutorials match on. There are no
//! passwords; this is a demonstration of routing by user, not of signing in.

use http::header::{COOKIE, HeaderMap, HeaderValue};

use crate::encoding::{decode, encode, pairs};

/// Longest name that is accepted, in bytes.
const MAX_NAME: usize = 64;

/// The user that the cookies of a request name.
pub(super) fn user(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(COOKIE).iter();
    let user = cookies
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(name, _)| *name == "user")
        .map(|(_, value)| decode(value))?;
    acceptable(user)
}

/// The user whom a sign-in form names.
pub(super) fn user_of_form(body: &[u8]) -> Option<String> {
    let body = std::str::from_utf8(body).ok()?;
    let (_, name) = pairs(body).find(|(name, _)| name == "username")?;
    acceptable(name.trim().to_owned())
}

/// The `Set-Cookie` value that signs `user` in, or out when there is none.
pub(super) fn cookie(user: Option<&str>) -> Option<HeaderValue> {
    let text = match user {
        Some(user) => format!("user={}; Path=/; HttpOnly; SameSite=Lax", encode(user)),
        None => "user=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0".to_owned(),
    };
    HeaderValue::from_str(&text).ok()
}

/// Names must fit into the header `end-user`.
fn acceptable(name: String) -> Option<String> {
    let fits = !name.is_empty() && name.len() <= MAX_NAME && !name.contains(char::is_control);
    fits.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_comes_back_from_the_cookie() {
        for name in ["jason", "Zoë; x=1", "a+b c"] {
            let set = cookie(Some(name)).unwrap();
            let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
            let mut headers = HeaderMap::new();
            let line = format!("session=1; {pair}; theme=dark");
            headers.insert(COOKIE, line.parse().unwrap());
            assert_eq!(user(&headers).as_deref(), Some(name));
        }
    }

    #[test]
    fn forms_without_a_usable_name() {
        assert_eq!(
            user_of_form(b"username=jason&passwd=x").as_deref(),
            Some("jason")
        );
        let long = [b"username=".as_slice(), &[b'x'; 65]].concat();
        for form in [
            &b"username="[..],
            b"",
            b"user=jason",
            b"username=a%0d%0ab",
            &long,
            b"\xff",
        ] {
            assert_eq!(user_of_form(form), None);
        }
    }
}
