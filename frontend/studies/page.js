// @ts-check
/** The page of studies: all of them, or the one that the address names. */
import {studyOfAddress} from "../api.js";
import {fillPage} from "../page-frame.js";
import {list} from "./list.js";
import {one} from "./one.js";

const id = studyOfAddress();

fillPage("/studies", () => (id ? one(id) : list()));
