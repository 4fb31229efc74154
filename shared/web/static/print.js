// A page of paper prints itself once it stands.
addEventListener("load", () => print());
