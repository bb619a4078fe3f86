//! Impersonation: who may acts as somebody else, by the headers `Impersonate-User`, `-Group`, `-Uid` and `-Extra-KEY`.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::User;
use crate::authorization::{self, Attributes, Target};
use crate::state::Api;
use crate::status::Status;

const USER: HeaderName = HeaderName::from_static("impersonate-user");
const GROUP: HeaderName = HeaderName::from_static("impersonate-group");
const UID: HeaderName = HeaderName::from_static("impersonate-uid");
const EXTRA: &str = "impersonate-extra-";

/// Most values of all these headers together.
const MOST: usize = 256;

const AUTHENTICATION: &str = "authentication.k8s.io";
const ACCOUNT: &str = "system:serviceaccount:";

/// The user that a request is made as: its own, or the one that it names, if it may.
pub fn user(api: &Api, own: User, headers: &HeaderMap) -> Result<User, Status> {
    let text = |value: &HeaderValue| {
        value.to_str().map(str::to_owned).map_err(|_| {
            Status::bad_request("the value of a header for impersonation is not ASCII")
        })
    };
    let groups = headers.get_all(GROUP).iter().map(text);
    let groups = groups.collect::<Result<Vec<String>, Status>>()?;
    let uid = headers.get(UID).map(text).transpose()?.unwrap_or_default();
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut count = groups.len();
    for (name, value) in headers {
        if let Some(key) = name.as_str().strip_prefix(EXTRA) {
            extra.entry(key.to_owned()).or_default().push(text(value)?);
            count += 1;
        }
    }
    if count > MOST {
        return Err(Status::bad_request(format!(
            "the request impersonates by more than {MOST} groups and extra values"
        )));
    }
    let Some(name) = headers.get(USER).map(text).transpose()? else {
        if groups.is_empty() && uid.is_empty() && extra.is_empty() {
            return Ok(own);
        }
        return Err(Status::bad_request(
            "requested to impersonate groups, a uid or extra values without impersonating a user",
        ));
    };
    let account = name
        .strip_prefix(ACCOUNT)
        .and_then(|rest| rest.split_once(':'));
    let may = |group: &str, resource: &str, part: &str, namespace: &str, name: &str| {
        let attributes = Attributes {
            user: &own,
            verb: "impersonate",
            target: Target::Resource {
                group,
                resource,
                subresource: part,
                namespace,
                name,
            },
        };
        authorization::check(api, &attributes)
    };
    match account {
        Some((namespace, name)) => may("", "serviceaccounts", "", namespace, name)?,
        None => may("", "users", "", "", &name)?,
    }
    groups
        .iter()
        .try_for_each(|group| may("", "groups", "", "", group))?;
    if !uid.is_empty() {
        may(AUTHENTICATION, "uids", "", "", &uid)?;
    }
    for (key, values) in &extra {
        values
            .iter()
            .try_for_each(|value| may(AUTHENTICATION, "userextras", key, "", value))?;
    }
    let mut groups = groups;
    if let (Some((namespace, _)), true) = (account, groups.is_empty()) {
        groups = super::account_groups(namespace);
    }
    let authenticated = "system:authenticated";
    if name != "system:anonymous" && !groups.iter().any(|group| group == authenticated) {
        groups.push(authenticated.to_owned());
    }
    Ok(User {
        name,
        uid,
        groups,
        extra,
    })
}
