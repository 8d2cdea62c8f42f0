(** Item 6: membership in the base polytope of the Jaccard loss.

The polytope has a constraint for each of the 2^p sets. A function of the two counts needs just one for each
pair of counts (a, b), on the sets of the a largest foreground and the b largest background values. For the
Jaccard loss and b background pixels, the best foreground pixels are those above 1 / (P + b); that threshold
decreases in b, so that one pass over the sorted values finds the largest excess. The file proves these three
characterisations and that the pass, a list program like the one of the package, decides membership. *)

From mathcomp Require Import all_ssreflect all_algebra ring.
From lovasz Require Import definitions jaccard.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

Section LargestEntries.

Variables (R : realFieldType) (T : finType).
Implicit Types (s : seq R) (w : T -> R) (U B : {set T}).

(** The values of w on U, in decreasing order. *)
Definition sorted_values w U : seq R := sort (fun a b : R => b <= a) [seq w i | i <- enum U].

(** The sum of the n first entries; on a decreasing list, of the n largest. *)
Definition prefix_sum s n : R := \sum_(a <- take n s) a.

(** Dropping the first entry of a decreasing list lowers the sum of the n first ones. *)
Lemma take_behead (x : R) s n : path (fun a b : R => b <= a) x s -> (n <= size s)%N ->
  \sum_(a <- take n s) a <= \sum_(a <- take n (x :: s)) a.
Proof.
elim: n x s => [|n IH] x [|y s] //= /andP[yx ys] sz.
by rewrite !big_cons ler_add // IH.
Qed.

(** Among the sublists of a decreasing list with as many entries, the prefix has the largest sum. *)
Lemma mask_take_sorted (s : seq R) (m : bitseq) : sorted (fun a b : R => b <= a) s -> size m = size s ->
  \sum_(a <- mask m s) a <= \sum_(a <- take (count id m) s) a.
Proof.
elim: s m => [|x s IH] [|b m] //= xs [sz].
have /IH/(_ sz) h := path_sorted xs.
case: b => /=; first by rewrite !big_cons ler_add2l.
apply: le_trans h _; apply: take_behead => //.
by rewrite -sz count_size.
Qed.

Lemma sorted_values_sorted w U : sorted (fun a b : R => b <= a) (sorted_values w U).
Proof. by apply: sort_sorted => a b; apply: le_total. Qed.

Lemma size_sorted_values w U : size (sorted_values w U) = #|U|.
Proof. by rewrite size_sort size_map -cardE. Qed.

(** The values are those along a list of the pixels of U. *)
Lemma sorted_pixels w U : exists2 e, perm_eq e (enum U) &
  sort (fun a b : R => b <= a) [seq w i | i <- enum U] = [seq w i | i <- e].
Proof. by rewrite sort_map; eexists; last reflexivity; rewrite perm_sort. Qed.

(** A set of a pixels of U has at most the sum of the a largest values on U, ... *)
Lemma mass_le_take w (U B : {set T}) : B \subset U ->
  mass w B <= \sum_(a <- take #|B| (sort (fun a b : R => b <= a) [seq w i | i <- enum U])) a.
Proof.
move=> /subsetP BU; have := sorted_values_sorted w U; rewrite /sorted_values.
have [e ep ->] := sorted_pixels w U => es.
have eB : perm_eq [seq i <- e | i \in B] (enum B).
  apply: uniq_perm; [by rewrite filter_uniq // (perm_uniq ep) enum_uniq | exact: enum_uniq |] => i.
  rewrite mem_filter (perm_mem ep) !mem_enum.
  by case: (boolP (i \in B)) => // /BU ->.
have := mask_take_sorted (m := [seq i \in B | i <- e]) es.
rewrite !size_map -map_mask -filter_mask count_map => /(_ erefl).
rewrite /mass -(eq_count (a1 := mem B)) // -size_filter (perm_size eB) -cardE.
by rewrite big_map (perm_big _ eB) big_enum.
Qed.

Lemma mass_le_prefix w U B : B \subset U -> mass w B <= prefix_sum (sorted_values w U) #|B|.
Proof. exact: mass_le_take. Qed.

(** ... and some set of a pixels attains it. *)
Lemma take_attained w U a : (a <= #|U|)%N ->
  exists B, [/\ B \subset U, #|B| = a & mass w B = prefix_sum (sorted_values w U) a].
Proof.
rewrite /prefix_sum /sorted_values; have [e ep ->] := sorted_pixels w U => aU.
have eu : uniq (take a e) by rewrite take_uniq // (perm_uniq ep) enum_uniq.
exists [set i in take a e]; split.
- by apply/subsetP=> i; rewrite inE => /mem_take; rewrite (perm_mem ep) mem_enum.
- by rewrite cardsE (card_uniqP eu) size_takel // (perm_size ep) -cardE.
- by rewrite -map_take big_map (big_uniq _ eu) /mass; apply: eq_bigl => i; rewrite inE.
Qed.

End LargestEntries.

Section Counts.

Variables (R : realFieldType) (T : finType).
Implicit Types (w : T -> R) (fg U A B : {set T}).

Lemma mass_split w fg A : mass w A = mass w (A :&: fg) + mass w (A :\: fg).
Proof. by rewrite /mass (big_setID fg). Qed.

Lemma parts_of_union fg A B : A \subset fg -> B \subset ~: fg ->
  (A :|: B) :&: fg = A /\ (A :|: B) :\: fg = B.
Proof.
move=> Afg Bbg; split; first by rewrite setIUl (setIidPl Afg) (disjoint_setI0 _) ?setU0 // disjoints_subset.
by rewrite setDUl setDE (disjoint_setI0 _) ?set0U ?disjoints_subset ?setCK // setDE (setIidPl Bbg).
Qed.

Lemma mass_union w fg A B : A \subset fg -> B \subset ~: fg -> mass w (A :|: B) = mass w A + mass w B.
Proof. by move=> Afg Bbg; have [eA eB] := parts_of_union Afg Bbg; rewrite (mass_split _ fg) eA eB. Qed.

Lemma background_part fg A : A :\: fg \subset ~: fg.
Proof. by rewrite setDE subsetIr. Qed.

(** Membership for any function of the counts: one inequality for each pair of counts. *)
Theorem membership_counts_general fg (g : nat -> nat -> R) w :
  in_base (counts fg g) w <->
  mass w setT = counts fg g setT /\
  (forall a b, (a <= #|fg|)%N -> (b <= #|~: fg|)%N ->
     prefix_sum (sorted_values w fg) a + prefix_sum (sorted_values w (~: fg)) b <= g a b).
Proof.
split=> [[le_F tot] | [tot le_g]]; split=> //.
  move=> a b aP bN; have [A [Afg cA eA']] := take_attained w aP; have [B [Bbg cB eB']] := take_attained w bN.
  have [eA eB] := parts_of_union Afg Bbg.
  by have := le_F (A :|: B); rewrite /counts eA eB cA cB (mass_union _ Afg Bbg) eA' eB'.
move=> A; rewrite (mass_split _ fg); apply: le_trans (le_g _ _ _ _).
- by apply: ler_add; apply: mass_le_prefix; rewrite ?subsetIr ?background_part.
- by apply: subset_leq_card; apply: subsetIr.
- by apply: subset_leq_card; apply: background_part.
Qed.

(** For the Jaccard loss: (P + 1) (N + 1) inequalities on sums of largest entries, instead of 2^p on sets. *)
Theorem membership_counts fg w :
  in_base (jaccard R fg) w <->
  mass w setT = jaccard R fg setT /\
  (forall a b, (a <= #|fg|)%N -> (b <= #|~: fg|)%N ->
     prefix_sum (sorted_values w fg) a + prefix_sum (sorted_values w (~: fg)) b <= (a + b)%:R / (#|fg| + b)%:R).
Proof.
have base_eq : in_base (jaccard R fg) w <-> in_base (counts fg (jaccard_count R #|fg|)) w.
  by rewrite /in_base jaccard_counts; split=> -[h tot]; split=> // A; have := h A; rewrite jaccard_counts.
by rewrite base_eq membership_counts_general -jaccard_counts.
Qed.

(** One inequality for each set B of background pixels: the foreground pixels that add most to the excess are
those of w above 1 / (P + #|B|). *)
Theorem membership_by_background_iff fg w :
  in_base (jaccard R fg) w <->
  mass w setT = jaccard R fg setT /\
  (forall B, B \subset ~: fg ->
     \sum_(i in fg) Num.max 0 (w i - (#|fg| + #|B|)%:R^-1) + mass w B <= #|B|%:R / (#|fg| + #|B|)%:R).
Proof.
split=> [[le_F tot] | [tot le_B]]; split=> //.
  move=> B Bbg; set c := _^-1; pose A := [set i in fg | c < w i].
  have Afg : A \subset fg by apply/subsetP=> i; rewrite inE => /andP[].
  have [eA eB] := parts_of_union Afg Bbg; have := le_F (A :|: B).
  rewrite jaccard_counts /counts eA eB (mass_union _ Afg Bbg) /jaccard_count -/c natrD => le_AB.
  suff -> : \sum_(i in fg) Num.max 0 (w i - c) = mass w A - #|A|%:R * c by apply: (le_by1 le_AB); ring.
  rewrite /mass mulr_natl -sumr_const -sumrB [RHS](eq_bigl (fun i => (i \in fg) && (c < w i))); last first.
    by move=> i; rewrite inE.
  rewrite big_mkcondr; apply: eq_bigr => i _; case: ltP => h; first by rewrite max_r // subr_ge0 ltW.
  by rewrite max_l // subr_le0.
move=> A; have := le_B _ (background_part fg A); set c := _^-1; set B := A :\: fg => le_AB.
rewrite jaccard_counts /counts /jaccard_count (mass_split _ fg) -/B natrD -/c.
suff le_A : mass w (A :&: fg) - #|A :&: fg|%:R * c <= \sum_(i in fg) Num.max 0 (w i - c).
  by apply: (le_by2 le_A le_AB); ring.
rewrite /mass mulr_natl -sumr_const -sumrB (eq_bigl (fun i => (i \in fg) && (i \in A))); last first.
  by move=> i; rewrite inE andbC.
by rewrite big_mkcondr; apply: ler_sum => i _; case: ifP => _; rewrite le_maxr lexx ?orbT.
Qed.

(** The direction that the fast prox uses. *)
Theorem membership_by_background fg w :
  mass w setT = jaccard R fg setT ->
  (forall B, B \subset ~: fg ->
     \sum_(i in fg) Num.max 0 (w i - (#|fg| + #|B|)%:R^-1) + mass w B <= #|B|%:R / (#|fg| + #|B|)%:R) ->
  in_base (jaccard R fg) w.
Proof. by move=> tot le_F; apply/membership_by_background_iff. Qed.

End Counts.

(** The pass over the sorted values. For b = 0, 1, ..., N it looks at the b largest background values, with a
pointer into the foreground values that moves on as 1 / (P + b) decreases. Every step of [advance] uses up an
entry of wf and every step of [scan_background] one of wb, so the cost is linear once the lists are sorted.
Here wf are the values on the foreground, wb those on the background, in decreasing order. *)
Section FastCheck.

Variable R : realFieldType.
Implicit Types (c s v : R) (wf wb : seq R) (best : R * (nat * nat)).

(** Move the pointer past the entries above 1 / c; a counts them and s sums them. *)
Fixpoint advance c wf a s : nat * R * seq R :=
  if wf is v :: wf' then if 1 < v * c then advance c wf' a.+1 (s + v) else (a, s, wf) else (a, s, wf).

(** [best] is the largest excess so far, with the counts of foreground and background pixels that give it. *)
Definition update_best P a b (fg_sum bg_sum : R) best :=
  let excess := fg_sum + bg_sum - (a + b)%:R / (P + b)%:R in
  if (a + b == 0)%N then best else if best.1 < excess then (excess, (a, b)) else best.

Fixpoint scan_background P wf wb a b (fg_sum bg_sum : R) best : R * (nat * nat) :=
  let: (a', fg_sum', wf') := advance (P + b)%:R wf a fg_sum in
  let best' := update_best P a' b fg_sum' bg_sum best in
  if wb is v :: wb' then scan_background P wf' wb' a' b.+1 fg_sum' (bg_sum + v) best' else best'.

(** The largest excess, which is at least the 0 of the empty set, and whether it is 0. *)
Definition fast_excess P wf wb := scan_background P wf wb 0 0 0 0 (0, (0%N, 0%N)).
Definition fast_excess_ok P wf wb : bool := (fast_excess P wf wb).1 == 0.

(** Where the pointer stops. *)
Definition pointer c wf := find (fun v => ~~ (1 < v * c)) wf.

Lemma prefix_sum0 (l : seq R) : prefix_sum l 0 = 0.
Proof. by rewrite /prefix_sum take0 big_nil. Qed.

Lemma prefix_sumS v (l : seq R) n : prefix_sum (v :: l) n.+1 = v + prefix_sum l n.
Proof. by rewrite /prefix_sum big_cons. Qed.

Lemma prefix_sumD (l : seq R) m n : prefix_sum l (m + n) = prefix_sum l m + prefix_sum (drop m l) n.
Proof. by rewrite /prefix_sum takeD big_cat. Qed.

Lemma prefix_sum_cons (l l' : seq R) v n : drop n l = v :: l' -> prefix_sum l n.+1 = prefix_sum l n + v.
Proof. by move=> e; rewrite -addn1 prefix_sumD e prefix_sumS prefix_sum0 addr0. Qed.

Lemma prefix_sum_le (l : seq R) m n : all (fun a => a <= m) l -> (n <= size l)%N ->
  prefix_sum l n <= n%:R * m.
Proof.
elim: l n => [|a l IH] [|n] //=; rewrite ?prefix_sum0 ?mul0r // => /andP[am lm] n_le.
by apply: (le_by2 am (IH n lm n_le)); rewrite prefix_sumS -addn1 natrD; ring.
Qed.

Lemma advanceE c wf a s :
  advance c wf a s = ((a + pointer c wf)%N, s + prefix_sum wf (pointer c wf), drop (pointer c wf) wf).
Proof.
elim: wf a s => [|v wf IH] a s /=; first by rewrite addn0 prefix_sum0 addr0.
rewrite /pointer /= -/(pointer c wf); case: ifP => _ /=; last by rewrite addn0 prefix_sum0 addr0.
by rewrite IH prefix_sumS addrA addSnnS.
Qed.

Lemma pointer_drop c wf a : (a <= pointer c wf)%N -> (a + pointer c (drop a wf))%N = pointer c wf.
Proof.
elim: wf a => [|v wf IH] [|a] //=; rewrite /pointer /=; case: ifP => _ // a_le.
by rewrite addSn; congr _.+1; apply: IH.
Qed.

Lemma advance_pointer c wf a : (a <= pointer c wf)%N ->
  advance c (drop a wf) a (prefix_sum wf a) =
  (pointer c wf, prefix_sum wf (pointer c wf), drop (pointer c wf) wf).
Proof.
by move=> /pointer_drop e; rewrite advanceE drop_drop -prefix_sumD addnC -(addnC a) e.
Qed.

(** The pointer never goes back. *)
Lemma pointer_monotone c c' wf : 0 <= c -> c <= c' -> (pointer c wf <= pointer c' wf)%N.
Proof.
move=> c0 cc'; rewrite /pointer; elim: wf => //= v wf IH.
case: (ltP 1 (v * c)) => //= h; case: (ltP 1 (v * c')) => //= h'.
have v0 : 0 < v.
  by rewrite ltNge; apply: contraTN h => v0; rewrite -leNgt (le_trans (mulr_le0_ge0 v0 c0)) ?ler01.
by have := lt_le_trans h (le_trans (ler_wpmul2l (ltW v0) cc') h'); rewrite ltxx.
Qed.

(** Where the pointer stops, the excess over 1 / c of the entries before it is largest. *)
Lemma pointer_best c wf n : sorted (fun a b : R => b <= a) wf -> 0 <= c -> (c = 0 -> wf = [::]) ->
  (n <= size wf)%N ->
  prefix_sum wf n - n%:R / c <= prefix_sum wf (pointer c wf) - (pointer c wf)%:R / c.
Proof.
move=> wf_sorted c0 c_eq0; case: (altP (c =P 0)) => [/c_eq0 -> | c_neq0]; first by case: n.
have {c0 c_eq0 c_neq0} c_gt0 : 0 < c by rewrite lt_def c_neq0.
elim: wf n wf_sorted => [[] // | v wf IH] n v_wf n_le; rewrite /pointer /= -/(pointer c wf).
case: ltP => /= [|]; rewrite -?ltr_pdivr_mulr -?ler_pdivl_mulr // div1r; move: (c^-1) IH => d IH v_c.
  rewrite prefix_sumS -addn1 natrD.
  case: n n_le => [_ | n n_le].
    by apply: (le_by2 (IH 0%N (path_sorted v_wf) (leq0n _)) (ltW v_c)); rewrite !prefix_sum0; ring.
  by apply: (le_by1 (IH n (path_sorted v_wf) n_le)); rewrite prefix_sumS -addn1 natrD; ring.
rewrite prefix_sum0 mul0r subr0 subr_le0; apply: prefix_sum_le n_le.
rewrite /= v_c; apply/allP=> u u_wf; apply: le_trans v_c.
by have /allP/(_ u u_wf) := order_path_min (fun _ _ _ h h' => le_trans h' h) v_wf.
Qed.

(** The largest excess with b background values. *)
Definition excess_at P wf wb b : R :=
  prefix_sum wf (pointer (P + b)%:R wf) + prefix_sum wb b - (pointer (P + b)%:R wf + b)%:R / (P + b)%:R.

(** No other number of foreground values has a larger one. *)
Lemma excess_at_greatest P wf wb a b : sorted (fun a b : R => b <= a) wf -> size wf = P -> (a <= P)%N ->
  prefix_sum wf a + prefix_sum wb b - (a + b)%:R / (P + b)%:R <= excess_at P wf wb b.
Proof.
move=> wf_sorted wf_P a_le; rewrite -wf_P in a_le.
have wf_nil : (P + b)%:R = 0 :> R -> wf = [::].
  by move=> /eqP; rewrite pnatr_eq0 addn_eq0 => /andP[/eqP P0 _]; apply: size0nil; rewrite wf_P.
have := pointer_best wf_sorted (ler0n _ _) wf_nil a_le; rewrite /excess_at.
move: (P + b)%:R => c le_k; rewrite !natrD; move: (c^-1) le_k => d le_k.
by apply: (le_by1 le_k); ring.
Qed.

(** The counts do give the excess. *)
Definition realised P wf wb (r : R * (nat * nat)) :=
  [/\ (r.2.1 <= size wf)%N, (r.2.2 <= size wb)%N
    & r.1 = prefix_sum wf r.2.1 + prefix_sum wb r.2.2 - (r.2.1 + r.2.2)%:R / (P + r.2.2)%:R].

Lemma update_bestP P wf wb b best : let k := pointer (P + b)%:R wf in (b <= size wb)%N ->
  0 <= best.1 -> realised P wf wb best ->
  let r := update_best P k b (prefix_sum wf k) (prefix_sum wb b) best in
  [/\ best.1 <= r.1, realised P wf wb r & excess_at P wf wb b <= r.1].
Proof.
move=> k b_le best0 best_real r; rewrite /r /update_best.
case: eqP => [/eqP | _].
  rewrite addn_eq0 /excess_at -/k => /andP[/eqP -> /eqP ->].
  by rewrite !prefix_sum0 mul0r addr0 subr0.
rewrite -/k -[_ - _]/(excess_at P wf wb b); case: ltP => [lt_b | le_b] //.
by split=> //=; [apply: ltW | split=> //; apply: find_size].
Qed.

(** What the pass keeps true, from the state after b background values on. *)
Lemma scan_backgroundP P wf wb rest a b best : drop b wb = rest -> (b <= size wb)%N ->
  (a <= pointer (P + b)%:R wf)%N -> 0 <= best.1 -> realised P wf wb best ->
  let r := scan_background P (drop a wf) rest a b (prefix_sum wf a) (prefix_sum wb b) best in
  [/\ best.1 <= r.1, realised P wf wb r
    & forall b', (b <= b')%N -> (b' <= size wb)%N -> excess_at P wf wb b' <= r.1].
Proof.
elim: rest a b best => [|v rest IH] a b best e b_le a_le best0 best_real /=; rewrite advance_pointer //.
  have [h1 h2 h3] := update_bestP b_le best0 best_real; split=> // b' bb' b'_le.
  have := f_equal size e; rewrite size_drop => /eqP; rewrite subn_eq0 => le_b.
  by have -> : b' = b by apply/eqP; rewrite eqn_leq bb' (leq_trans b'_le).
have [h1 h2 h3] := update_bestP b_le best0 best_real.
have b_lt : (b < size wb)%N by rewrite ltnNge -subn_eq0 -size_drop e.
rewrite -(prefix_sum_cons e).
have [|||h4 h5 h6] := IH (pointer (P + b)%:R wf) b.+1 _ _ b_lt _ _ h2.
- by rewrite -addn1 addnC -drop_drop e /= drop0.
- by apply: pointer_monotone; rewrite ?ler0n // ler_nat leq_add2l.
- exact: le_trans h1.
split=> // [|b']; first exact: le_trans h4.
by rewrite leq_eqVlt => /predU1P[<- _ | /h6 //]; apply: le_trans h4.
Qed.

Lemma fast_excessP P wf wb : let r := fast_excess P wf wb in
  [/\ 0 <= r.1, realised P wf wb r & forall b, (b <= size wb)%N -> excess_at P wf wb b <= r.1].
Proof.
have [] := @scan_backgroundP P wf wb wb 0 0 (0, (0%N, 0%N)) (drop0 wb) (leq0n _) (leq0n _) (lexx _).
  by split=> //=; rewrite !prefix_sum0 mul0r; ring.
by rewrite drop0 !prefix_sum0 => r0 r1 r2; split=> // b; apply: r2.
Qed.

End FastCheck.

Section FastMembership.

Variables (R : realFieldType) (T : finType).
Implicit Types (w : T -> R) (fg A : {set T}).

(** The pass finds the largest excess over all 2^p sets, and the counts of a set that attains it. *)
Theorem fast_excess_greatest fg w :
  let: (excess, (a, b)) := fast_excess #|fg| (sorted_values w fg) (sorted_values w (~: fg)) in
  (forall A, mass w A - jaccard R fg A <= excess) /\
  exists A, [/\ #|A :&: fg| = a, #|A :\: fg| = b & mass w A - jaccard R fg A = excess].
Proof.
have [] := fast_excessP #|fg| (sorted_values w fg) (sorted_values w (~: fg)).
case: (fast_excess _ _ _) => v [a b] /= _ [/=]; rewrite !size_sorted_values => a_le b_le v_eq le_v; split=> [A|].
  have bg := background_part fg A; have b'_le := subset_leq_card bg; have A_fg := subsetIr A fg.
  have a'_le : (#|A :&: fg| <= #|fg|)%N by apply: subset_leq_card.
  apply: le_trans (le_v _ b'_le); rewrite jaccard_counts /counts /jaccard_count (mass_split _ fg).
  apply: le_trans (excess_at_greatest _ _ (sorted_values_sorted w fg) (size_sorted_values w fg) a'_le).
  by rewrite ler_sub // ler_add // mass_le_prefix.
have [A [A_fg cA eA]] := take_attained w a_le; have [B [B_bg cB eB]] := take_attained w b_le.
have [eA' eB'] := parts_of_union A_fg B_bg; exists (A :|: B).
by rewrite jaccard_counts /counts eA' eB' cA cB v_eq (mass_union w A_fg B_bg) eA eB.
Qed.

(** The pass and the total together accept w exactly if w is in the base polytope. *)
Theorem fast_membership fg w :
  reflect (in_base (jaccard R fg) w)
    (fast_excess_ok #|fg| (sorted_values w fg) (sorted_values w (~: fg)) && (mass w setT == jaccard R fg setT)).
Proof.
rewrite /fast_excess_ok; have := fast_excess_greatest fg w.
have [] := fast_excessP #|fg| (sorted_values w fg) (sorted_values w (~: fg)).
case: (fast_excess _ _ _) => v [a b] /= v0 _ _ [le_v attained].
apply: (iffP andP) => [[/eqP v_eq /eqP tot] | [le_F tot]]; split=> //; try exact/eqP.
  by move=> B; rewrite -subr_le0 -v_eq.
by rewrite eq_le v0 andbT; have [A [_ _ <-]] := attained; rewrite subr_le0.
Qed.

End FastMembership.
