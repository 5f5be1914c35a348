//! What all expansions have in common, and what each argument adds to them.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote};

use crate::attribute::{Attribute, expand};

/// The expansion, as text with single spaces.
fn expanded(attribute: Attribute, arguments: &TokenStream, item: &TokenStream) -> String {
    let expanded = expand(attribute, arguments.clone(), item).to_string();
    assert!(!expanded.contains("compile_error"), "{arguments}: {expanded}");
    if let Err(error) = syn::parse_str::<syn::ItemFn>(&expanded) {
        panic!("{arguments}: {error} in {expanded}");
    }
    expanded
}

fn text(tokens: impl ToTokens) -> String {
    tokens.to_token_stream().to_string()
}

/// Forms of one function. `marker` is in each body once.
fn forms() -> [TokenStream; 4] {
    [
        quote!(
            async fn find(&self, id: u64) -> Result<Option<User>, Error> {
                marker
            }
        ),
        quote!(
            fn find(&self, id: u64) -> Result<Option<User>, Error> {
                marker
            }
        ),
        quote!(
            fn find(&self, id: u64) -> impl Future<Output = Result<Option<User>, Error>> + Send {
                marker
            }
        ),
        quote!(
            fn find<'a>(&'a self, id: u64) -> BoxFuture<'a, Result<Option<User>, Error>> {
                marker
            }
        ),
    ]
}

fn all_arguments() -> Vec<(Attribute, TokenStream)> {
    let kept = [
        quote!(),
        quote!(unless = marker1(result), ttl = |user| marker2(user), tags = [self.marker3, marker4(result)]),
        quote!(cache_none, none_ttl = marker1(), ttl = marker2(result), tags = marker3(result)),
        quote!(cache_none, ttl = marker1(), unless = marker2(id), tags = [marker3(id), marker4(result)]),
        quote!(condition = marker1(id), registry = self.marker2, transaction = marker3),
        quote!(cache_value, unless = marker1(id)),
    ];
    let loaded = [
        quote!(cache_err = |e| marker1(e), err_ttl = marker2(), ttl = marker3(), tags = marker4()),
        quote!(cache_none, cache_err = marker1, none_ttl = marker2(), err_ttl = marker3(), unless = marker4(result)),
    ];
    let evicted = [
        quote!(key = id),
        quote!(key = id, before, condition = marker1(id), registry = self.marker2),
        quote!(key = id, always, unless = marker1(result)),
        quote!(keys = self.marker1(id), unless = marker2(id), condition = marker3()),
        quote!(keys = [id, id], always),
        quote!(keys = [self.marker1, result.id], always, requires_transaction),
        quote!(tag = [marker1(id), marker2(id)]),
        quote!(tag = [marker1(result), marker2(id)], condition = marker3()),
        quote!(all, unless = marker1(result)),
        quote!(all, always),
    ];
    let mut all = Vec::new();
    for arguments in &kept {
        all.push((Attribute::Cacheable, quote!(cache = ["a", USERS], key = id, #arguments)));
        all.push((Attribute::CachePut, quote!(cache = "a", key = id, requires_transaction, #arguments)));
    }
    for arguments in kept[1..2].iter().chain(&kept[4..]) {
        all.push((Attribute::CachePut, quote!(cache = USERS, key = result.id, #arguments)));
    }
    all.extend(loaded.map(|arguments| (Attribute::Cacheable, quote!(cache = "a", key = id, #arguments))));
    all.extend(evicted.map(|arguments| (Attribute::CacheEvict, quote!(cache = "a", #arguments))));
    all.push((Attribute::CacheEvict, quote!(cache = ["a", "b", m::USERS], key = (result.id, id))));
    all
}

/// Every function with every set of arguments.
fn all() -> impl Iterator<Item = (Attribute, TokenStream, TokenStream)> {
    let batches = [
        quote!(
            async fn find(&self, mut ids: Vec<u64>) -> HashMap<u64, User> {
                marker
            }
        ),
        quote!(
            fn find(&self, ids: &[u64]) -> Result<Vec<(u64, User)>, Error> {
                marker
            }
        ),
        quote!(
            fn find<'a>(&'a self, ids: &'a HashSet<u64>) -> BoxFuture<'a, Users> {
                marker
            }
        ),
    ];
    let of_batches = [
        quote!(),
        quote!(key = |id| (self.marker1, id), condition = marker2(ids)),
        quote!(unless = marker1(result), ttl = marker2(ids), tags = [self.marker3, marker4(result)]),
        quote!(cache_none, none_ttl = marker1(), ttl = marker2(), tags = [marker3(result)], unless = marker4(ids)),
    ];
    let of_batches = batches.into_iter().flat_map(move |item| {
        of_batches
            .clone()
            .map(|arguments| (Attribute::Cacheable, quote!(cache = USERS, keys = ids, #arguments), item.clone()))
    });
    let of_one = all_arguments()
        .into_iter()
        .flat_map(|(attribute, arguments)| forms().map(|item| (attribute, arguments.clone(), item)));
    of_one.chain(of_batches)
}

#[test]
fn what_the_user_wrote_stands_in_the_expansion_once() {
    for (attribute, arguments, item) in all() {
        let expanded = expanded(attribute, &arguments, &item);
        let words: Vec<&str> = expanded.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
        for word in ["marker", "marker1", "marker2", "marker3", "marker4"] {
            let written = text(&arguments).contains(word) || word == "marker";
            let count = words.iter().filter(|found| **found == word).count();
            assert_eq!(count, usize::from(written), "{word} of {attribute} {arguments} on {item}: {expanded}");
        }
    }
}

#[test]
fn the_expansion_calls_nothing_that_a_project_may_have_disallowed() {
    for (attribute, arguments, item) in all() {
        let expanded = expanded(attribute, &arguments, &item);
        for method in [". unwrap", ". expect", ". is_some", ". is_none", ". clone"] {
            assert!(!expanded.contains(method), "{method}: {expanded}");
        }
    }
}

/// The identifiers at the start of a path, or alone.
fn heads(tokens: TokenStream, heads: &mut Vec<String>) {
    let mut after = ' ';
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                if after != ':' && after != '.' && after != '\'' {
                    heads.push(ident.to_string());
                }
                after = ' ';
            }
            TokenTree::Punct(punct) => after = punct.as_char(),
            TokenTree::Group(group) => {
                self::heads(group.stream(), heads);
                after = ' ';
            }
            TokenTree::Literal(_) => after = ' ',
        }
    }
}

#[test]
fn the_expansion_names_nothing_but_what_it_declares_itself() {
    const WORDS: &str = "use as _ static let mut match if else return false async move for in fn mod await crate \
                         true function file line role explicit_registry tagged requires_transaction types key \
                         value result";
    let item = quote!(
        async fn find() -> Found {}
    );
    for (attribute, arguments) in [
        (Attribute::Cacheable, quote!(cache = "a", cache_none)),
        (Attribute::CachePut, quote!(cache = "a", requires_transaction)),
        (Attribute::CacheEvict, quote!(cache = "a", all)),
        (Attribute::CacheEvict, quote!(cache = "a", tag = result)),
        (Attribute::CacheEvict, quote!(cache = "a", keys = result)),
    ] {
        let expanded = expanded(attribute, &arguments, &item);
        let body = syn::parse_str::<syn::ItemFn>(&expanded).expect("a function").block;
        let mut names = Vec::new();
        heads(body.to_token_stream(), &mut names);
        let traits = ["Key", "Returns", "Error", "Outcome", "Batch", "Listed"];
        for name in names {
            let is_ours =
                name.to_lowercase().starts_with("__cachesync") || WORDS.split_whitespace().any(|word| word == name);
            let is_imported = name == "Found" || traits.iter().any(|start| name.starts_with(start));
            assert!(is_ours || is_imported, "{name} in {expanded}");
        }
    }
}

#[test]
fn each_form_of_a_function_waits_as_it_can() {
    let arguments = quote!(cache = "a", key = id);
    let [asynchronous, plain, future, boxed] = forms().map(|item| expanded(Attribute::Cacheable, &arguments, &item));
    assert!(asynchronous.contains("__cachesync_miss . answer (async move { if false"), "{asynchronous}");
    assert!(future.contains("__cachesync_miss . lead ()") && future.contains("__cachesync_wait . await"), "{future}");
    assert!(plain.contains(". lead_now ()") && !plain.contains("await") && plain.contains("run (move || { if false"));
    assert!(future.contains("} async move {") || future.contains("; async move {"), "{future}");
    assert!(
        future.contains(
            "__cachesync_load . run (__cachesync_private :: run (move || { match () { () => { marker } } })) . await"
        ),
        "{future}"
    );
    assert!(boxed.contains("__cachesync_private :: Box :: pin (async move {"), "{boxed}");
    assert!(boxed.contains("never :: < BoxFuture < 'a ,"), "{boxed}");
}

#[test]
fn the_body_borrows_what_is_used_after_it_and_takes_everything_else() {
    let item = quote!(
        async fn save(id: u64, user: User) -> Result<User, Error> {}
    );
    for (attribute, arguments, borrows) in [
        (Attribute::Cacheable, quote!(key = id), false),
        (Attribute::Cacheable, quote!(key = id, ttl = result.ttl(), unless = result.old), false),
        (Attribute::Cacheable, quote!(key = id, ttl = user.ttl()), false),
        (Attribute::Cacheable, quote!(key = id, ttl = user.ttl(result)), true),
        (Attribute::Cacheable, quote!(key = id, unless = id > 3), true),
        (Attribute::Cacheable, quote!(key = id, tags = [user.team]), false),
        (Attribute::Cacheable, quote!(key = id, tags = [user.team, result.team]), false),
        (Attribute::Cacheable, quote!(key = id, tags = [(user.team, result.team)]), true),
        (Attribute::Cacheable, quote!(key = id, cache_err = |e| e.of(id)), true),
        (Attribute::CachePut, quote!(key = result.key), false),
        (Attribute::CachePut, quote!(key = (result.id, id)), true),
        (Attribute::CacheEvict, quote!(tag = user.team), false),
        (Attribute::CacheEvict, quote!(tag = (user.team, result)), true),
        (Attribute::CacheEvict, quote!(keys = [result.id, id]), true),
        (Attribute::CacheEvict, quote!(key = id, unless = user.old), true),
    ] {
        let expanded = expanded(attribute, &quote!(cache = "a", #arguments), &item);
        assert_eq!(expanded.contains("async { if false"), borrows, "{arguments}: {expanded}");
        assert_eq!(expanded.contains("async move { if false"), !borrows, "{arguments}: {expanded}");
    }
}

#[test]
fn registry_transaction_condition_and_key_are_evaluated_in_this_order() {
    let arguments =
        quote!(cache = "a", key = self.k(), condition = self.c(), transaction = self.t(), registry = self.r());
    let plain = &forms()[1];
    for attribute in [Attribute::Cacheable, Attribute::CachePut, Attribute::CacheEvict] {
        let expanded = expanded(attribute, &arguments, plain);
        let at =
            ["self . r ()", "self . t ()", "self . c ()", "self . k ()"].map(|part| expanded.find(part).expect(part));
        assert!(at.is_sorted(), "{expanded}");
    }
}

#[test]
fn typed_caches_are_held_against_key_and_value() {
    let item = &forms()[0];
    let expanded = expanded(Attribute::Cacheable, &quote!(cache = [m::USERS, "a"], key = (id, id)), item);
    let users = "__cachesync_private :: typed (& m :: USERS)";
    assert!(expanded.contains(&format!("CallSite :: typed (__CACHESYNC_FUNCTION , {users})")), "{expanded}");
    assert!(expanded.contains("__CACHESYNC_SITES : [__cachesync_private :: CallSite ; 2]"), "{expanded}");
    assert!(
        expanded.contains(&format!("typed_key ({users} ,")) && expanded.contains(&format!("typed_value ({users} ,"))
    );
}

#[test]
fn the_body_of_a_batch_sees_the_missing_keys_by_the_same_name() {
    let by_value = quote!(
        async fn find(mut ids: Vec<u64>) -> Users {}
    );
    let expanded_by_value = expanded(Attribute::Cacheable, &quote!(cache = "a", keys = ids), &by_value);
    assert!(expanded_by_value.contains("let mut ids = __cachesync_load . missing (& ids) ;"), "{expanded_by_value}");
    let by_reference = quote!(
        async fn find(ids: &[u64]) -> Users {}
    );
    let expanded = expanded(Attribute::Cacheable, &quote!(cache = "a", keys = ids), &by_reference);
    assert!(expanded.contains("let __cachesync_missing = __cachesync_load . missing (ids) ;"), "{expanded}");
    assert!(
        expanded.contains("let ids = __cachesync_private :: borrow_list (ids , & __cachesync_missing) ;"),
        "{expanded}"
    );
}

#[test]
fn a_method_goes_by_the_name_of_its_type_where_that_is_known() {
    let item = quote!(
        async fn r#find(id: u64) -> Option<u64> {}
    );
    for (self_type, path) in [
        (quote!(Users), "\"::Users::find\""),
        (quote!(super::Users<'a, T>), "\"::Users::find\""),
        (quote!((u8, T)), "\"::find\""),
        (quote!(), "\"::find\""),
    ] {
        let hidden = crate::block::hidden(&[], Some(&self_type), false, &quote!());
        let expanded = expanded(Attribute::Cacheable, &quote!(#hidden, cache = "a"), &item);
        assert!(expanded.contains(&format!("module_path ! () , {path})")), "{expanded}");
    }
    assert!(expanded(Attribute::Cacheable, &quote!(cache = "a"), &item).contains("module_path ! () , \"::find\")"));
}
