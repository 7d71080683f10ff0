// @ts-check
/** The page of the gallery: all entries, or the one that the address names. */
import {entryOfAddress} from "../api.js";
import {fillPage} from "../page-frame.js";
import {list} from "./list.js";
import {one} from "./one.js";

const name = entryOfAddress();

fillPage("/gallery", () => (name ? one(name) : list()));
