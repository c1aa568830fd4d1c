"""Topics with ten words each; a topic belongs to one split, so that test labels are never seen in training.

A line is `split field topic: words`. No word is shared by two topics, and no word is a topic's name: which topic a
text is about can be read off its words, but never by matching the label. The words are ordinary English, so that a
pretrained encoder can know them for topics that it was not trained on.
"""

from __future__ import annotations

from functools import cache

# ruff: noqa: E501 - a topic a line
_TRAIN = """
sports sailing: sails masts rudders keels regattas anchors spinnakers jibs rigging headwinds
sports chess: pawns bishops knights rooks checkmates gambits openings stalemates endgames grandmasters
sports boxing: gloves jabs uppercuts knockouts ringside sparring footwork heavyweights mouthguards punches
sports cycling: pedals handlebars saddles velodromes pelotons sprockets helmets spokes derailleurs breakaways
sports swimming: freestyle backstrokes snorkels laps lifeguards chlorine goggles lanes breaststroke flippers
sports archery: arrows bows quivers bullseyes bowstrings targets fletchings longbows crossbows nocks
sports climbing: cliffs carabiners belays summits harnesses crampons footholds ropes boulders chalk
nature gardening: seedlings compost trowels pruning hedges flowerbeds watering weeds lawns bulbs
nature beekeeping: hives honey swarms combs pollen nectar drones smokers queens wax
nature birdwatching: binoculars nests plumage migrations warblers feathers finches owls sightings woodpeckers
nature geology: granite sediments basalt quartz strata minerals erosion limestone crystals faults
nature volcanoes: lava eruptions magma craters ash vents calderas pumice geysers tremors
nature forestry: timber saplings loggers pines chainsaws lumber undergrowth sawmills spruces clearings
nature mushrooms: spores chanterelles truffles caps gills toadstools morels mycelium fungi puffballs
science astronomy: telescopes galaxies planets comets nebulae eclipses stars constellations asteroids orbits
science chemistry: molecules acids beakers reactions solvents catalysts compounds titrations flasks isotopes
science genetics: chromosomes mutations genomes inheritance alleles clones heredity nucleotides hybrids ancestry
science robotics: sensors actuators grippers servos androids automation manipulators gyroscopes joints prototypes
science electricity: wires voltage batteries circuits transformers sockets fuses watts generators capacitors
science optics: lenses prisms mirrors lasers refraction spectra beams wavelengths microscopes reflections
science mathematics: equations theorems proofs algebra fractions integrals geometry polynomials axioms primes
arts painting: canvases brushes easels watercolors palettes pigments portraits landscapes varnish frescoes
arts theater: actors rehearsals curtains monologues costumes audiences playwrights props stagehands tragedies
arts photography: cameras shutters tripods exposures darkrooms negatives snapshots flashes zooms albums
arts opera: sopranos arias tenors librettos overtures baritones orchestras divas duets choruses
arts poetry: stanzas sonnets rhymes verses metaphors haikus ballads couplets odes meters
arts pottery: clay kilns glazes vases bowls ceramics earthenware jugs porcelain firing
arts ballet: pirouettes tutus arabesques choreography slippers leaps barres swans nutcrackers dancers
food baking: dough ovens loaves yeast muffins flour crusts pastries cupcakes frosting
food coffee: espresso baristas lattes roasting filters cappuccinos caffeine grinders percolators mochas
food wine: vineyards corks grapes cellars vintages merlot casks sommeliers tannins decanters
food cheese: cheddar curds rinds brie gouda dairies mozzarella rennet whey parmesan
food grilling: charcoal burgers skewers tongs marinades ribs steaks sausages kebabs embers
food sushi: wasabi chopsticks tuna nigiri sashimi soy rice ginger maki roe
food chocolate: cocoa pralines candies bonbons fudge brownies ganache cacao nougat toffee
crafts knitting: yarn needles scarves stitches wool mittens sweaters skeins purling cardigans
crafts carpentry: saws hammers planks nails workbenches lathes dovetails drills sandpaper joinery
crafts plumbing: pipes faucets drains leaks toilets valves wrenches boilers gaskets sewers
crafts sewing: threads buttons zippers hems fabrics bobbins seams thimbles patches dressmakers
crafts jewelry: necklaces rings diamonds bracelets earrings gemstones pearls brooches rubies pendants
crafts cleaning: mops detergents sponges brooms dust vacuums stains bleach buckets scrubbing
crafts furniture: sofas wardrobes armchairs tables cupboards bookshelves upholstery stools dressers mattresses
society elections: ballots candidates campaigns voters polls debates precincts turnout referendums manifestos
society taxes: deductions refunds auditors brackets revenues loopholes accountants exemptions levies returns
society trials: judges juries verdicts witnesses testimony prosecutors sentences appeals defendants alibis
society immigration: visas borders refugees passports citizenship asylum newcomers naturalization customs checkpoints
society banking: loans deposits mortgages interest savings tellers vaults cheques lenders overdrafts
society religion: prayers temples priests sermons pilgrims monks scriptures shrines hymns baptisms
society journalism: headlines reporters interviews newspapers editors columnists scoops correspondents newsrooms deadlines
travel trains: locomotives tracks stations conductors railcars carriages tunnels timetables platforms signals
travel aviation: pilots runways cockpits turbulence propellers airports hangars gliders takeoffs landings
travel motorcycles: exhausts throttles sidecars leather bikers choppers engines kickstands mopeds scooters
travel submarines: periscopes torpedoes sonar depths hatches divers ballast admirals portholes hulls
travel bridges: girders spans suspension cables piers pylons trusses viaducts crossings abutments
travel traffic: intersections congestion roundabouts honking commuters pedestrians highways detours jams crosswalks
travel camping: tents marshmallows flashlights backpacks rangers bonfires lanterns hammocks canteens stoves
"""

_VALIDATION = """
sports tennis: rackets serves volleys backhands deuces tiebreaks forehands baselines umpires lobs
sports skiing: slopes moguls chairlifts slaloms bindings poles powder pistes avalanches gondolas
nature weather: storms forecasts thunder humidity blizzards rainfall barometers hail fog drizzle
nature oceans: tides currents reefs plankton whales waves seaweed corals trenches tsunamis
science medicine: surgeons prescriptions diagnoses antibiotics patients symptoms fevers vaccines hospitals scalpels
science archaeology: excavations ruins tombs shards pyramids relics mummies artifacts inscriptions burials
arts cinema: films directors screenplays trailers popcorn projectors sequels closeups blockbusters screenings
arts sculpture: marble chisels statues bronze busts plaster carvings pedestals casts figurines
food beer: hops breweries malt pints lagers kegs taverns ales foam bartenders
food breakfast: pancakes cereals oatmeal toast omelets bacon waffles granola marmalade yogurt
crafts weaving: looms tapestries warps wefts rugs spindles carpets fibers baskets textiles
crafts locks: keys padlocks burglars tumblers safes deadbolts latches combinations doors hinges
society education: classrooms pupils homework curricula tuition diplomas exams lectures teachers textbooks
society marriage: weddings brides vows grooms honeymoons bouquets anniversaries spouses engagements bridesmaids
travel tourism: souvenirs hotels guidebooks sightseeing postcards itineraries beaches museums luggage cruises
travel canals: barges sluices towpaths aqueducts dredging lockkeepers waterways docks narrowboats embankments
"""

_TEST = """
sports golf: fairways bunkers putters birdies caddies bogeys greens tees clubhouses handicaps
sports rowing: oars coxswains sculls crews boathouses eights blades paddlers catamarans canoes
sports fencing: foils sabers lunges parries ripostes epees masks duels thrusts feints
nature fishing: rods bait hooks trout reels nets lures anglers carp tackle
nature insects: beetles ants antennae larvae moths crickets wings mosquitoes caterpillars grasshoppers
nature dinosaurs: fossils raptors paleontologists skeletons extinction herbivores tyrannosaurs footprints jawbones triceratops
science spaceflight: rockets astronauts capsules launches satellites spacesuits boosters weightlessness shuttles countdowns
science programming: compilers functions debuggers variables loops algorithms keyboards software syntax repositories
science psychology: emotions memories phobias therapists dreams anxiety personality habits trauma cognition
arts jazz: saxophones improvisation trumpets swing bebop clarinets solos drummers syncopation nightclubs
arts architecture: facades arches columns blueprints skyscrapers domes floorplans cathedrals balconies courtyards
arts comics: superheroes panels villains cartoonists capes sidekicks inking bubbles cliffhangers cartoons
food tea: kettles infusions oolong chamomile leaves saucers steeping jasmine matcha samovars
food pasta: spaghetti ravioli lasagna noodles macaroni pesto gnocchi penne linguine carbonara
food salads: lettuce dressing vinaigrette cucumbers radishes croutons spinach arugula tomatoes celery
crafts tattoos: ink parlors sleeves designs skin stencils piercings forearms symbols artists
crafts perfume: fragrances scents musk lavender bottles bergamot aromas sandalwood colognes vials
crafts calligraphy: nibs quills parchment lettering scripts flourishes inkwells scribes scrolls manuscripts
society policing: detectives arrests patrols handcuffs sirens suspects officers badges burglaries investigations
society insurance: premiums claims policies coverage underwriters liabilities accidents deductibles actuaries payouts
society diplomacy: treaties ambassadors embassies negotiations envoys alliances sanctions consulates ceasefires protocols
travel taxis: fares cabs dispatchers chauffeurs curbs tips passengers dashboards limousines rides
travel hiking: trails boots ridges blisters trekking maps footpaths waterfalls valleys compasses
travel parachuting: skydivers ripcords freefall altimeters canopies jumpsuits dropzones altitude tandems daredevils
"""


@cache
def topic_words(split: str) -> dict[str, tuple[str, ...]]:
    """Return the words of each topic of a split."""
    lines = {"train": _TRAIN, "validation": _VALIDATION, "test": _TEST}[split].strip().splitlines()
    return {head.split()[1]: tuple(words.split()) for head, words in (line.split(":") for line in lines)}


@cache
def field_topics(split: str) -> dict[str, tuple[str, ...]]:
    """Return the topics of each field of a split; topics of one field are near each other."""
    found: dict[str, tuple[str, ...]] = {}
    for line in {"train": _TRAIN, "validation": _VALIDATION, "test": _TEST}[split].strip().splitlines():
        field, topic = line.split(":")[0].split()
        found[field] = (*found.get(field, ()), topic)
    return found


@cache
def topic_of() -> dict[str, str]:
    """Return the topic of each word, over all splits."""
    by_topic = (topic_words(split).items() for split in ("train", "validation", "test"))
    return {word: topic for topics in by_topic for topic, words in topics for word in words}
