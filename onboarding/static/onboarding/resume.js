// A reload of the onboarding page: its address was cleaned, so the server asks where the token is.
// The tab kept it, by the salon that the address still names.
"use strict";
(function () {
  const name = `onboarding:${location.hash.slice(1)}`;
  if (location.pathname !== "/marketplace/onboarding" || !/^#company_\d+$/.test(location.hash)) return;
  try {
    const token = sessionStorage.getItem(name);
    if (new URLSearchParams(location.search).has("token")) {
      sessionStorage.removeItem(name); // the server has just refused it
    } else if (token) {
      const query = new URLSearchParams(location.search);
      query.set("token", token);
      location.replace(`/marketplace/onboarding?${query}${location.hash}`);
    }
  } catch (error) {
    // Storage is forbidden in this browser: the page's own words say how to go on.
    console.info("no stored token", error.name);
  }
})();
